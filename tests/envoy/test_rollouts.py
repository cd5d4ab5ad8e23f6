"""Rollouts on a real Envoy: what it reports of sample services that are well, fail or get little traffic."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.envoy.rollout_world import World, document, entered, grayplane_says, world_in
from tests.harness.grayplane import until


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Its parameter is how many processes serve streams."""
    async with world_in(tmp_path, processes=getattr(request, "param", 1)) as made:
        yield made


SEVERAL_PROCESSES = pytest.mark.parametrize("world", [2], indirect=True)
"""Load reports, access logs and overrides go from one process to another."""


async def test_a_good_release_goes_through_and_no_request_fails_and_no_user_goes_back(world: World) -> None:
    world.grayplane.rule("reviews.yaml", document())
    await world.said("finish")
    await world.all_from("v2")
    assert world.weights() == [20, 60, 100]
    assert {status for status, _ in world.answers} == {200}
    assert len(world.versions) > 1000
    assert not world.moved_back

    async def told() -> bool:
        said = yaml.safe_load(world.status.read_text()) if world.status.exists() else {}
        return (said.get("rollout") or {}).get("state") == "Promoted" and said["split"]["ramp"]["gray"] == 100

    await until(told)


@SEVERAL_PROCESSES
async def test_a_release_that_fails_altogether_is_taken_back_at_once(world: World) -> None:
    world.v2.status = 503
    world.grayplane.rule("reviews.yaml", document(analysis={"interval": "1h"}))
    failed = await world.said("fail")
    assert "clear failure" in failed["why"]
    assert failed["weight"] == 0
    await world.all_from("v1")
    assert world.weights() == [20]


async def test_a_release_that_begins_to_fail_later_is_taken_back(world: World) -> None:
    world.grayplane.rule("reviews.yaml", document())
    await until(lambda: entered(world, 60))
    world.v2.status = 500
    await world.said("fail")
    await world.all_from("v1")


@SEVERAL_PROCESSES
async def test_a_release_that_is_slow_is_taken_back(world: World) -> None:
    world.v2.delay = 0.2
    analysis = {"interval": "1s", "minRequests": 20, "latency": {"p90": "100ms"}, "failureLimit": 2}
    world.grayplane.rule("reviews.yaml", document(analysis=analysis))
    failed = await world.said("fail")
    assert failed["why"].startswith("latency.p90 failed 2 times in a row")
    await world.all_from("v1")


async def test_a_release_as_fast_as_the_baseline_goes_through(world: World) -> None:
    latency = {"p90": "2s", "maxRatioToBaseline": 5.0}
    analysis = {"interval": "1s", "minRequests": 20, "latency": latency}
    world.grayplane.rule("reviews.yaml", document(analysis=analysis))
    await world.said("finish")


async def test_too_little_traffic_holds_the_step(world: World) -> None:
    world.pause = 0.5
    steps = [{"weight": 20, "for": "1s"}, {"weight": 100}]
    analysis = {"interval": "1s", "minRequests": 1000}
    world.grayplane.rule("reviews.yaml", document(steps=steps, analysis=analysis))
    await world.said("enter")
    await asyncio.sleep(4)
    assert world.weights() == [20]
    world.grayplane.rule("reviews.yaml", document(steps=steps, analysis={**analysis, "minRequests": 1}))
    await world.said("finish")


async def test_what_a_fallback_serves_is_not_the_subset_s(world: World) -> None:
    # The proxy finds gray unhealthy: gray's share is served by the baseline, which then is slow.
    world.v2.unwell = True
    health = {"path": "/health", "interval": "1s", "timeout": "5s"}
    checks = {"successRate": {"min": 95.0}, "latency": {"p90": "100ms"}}
    analysis = {"interval": "1s", "minRequests": 20, **checks}
    watched = document(analysis=analysis) | {"trafficPolicy": {"healthCheck": health}}
    world.grayplane.rule("reviews.yaml", watched)
    await world.said("enter")

    async def fallen_back() -> bool:
        last = (await world.samples())[-3:]
        reported = [sample for sample in last if sample["baselineSuccess"] is not None]
        return len(reported) == 3 and not any(sample["grayRequests"] for sample in reported)

    await until(fallen_back)
    before = len(await world.samples())
    world.v1.delay = 0.15

    async def slow_for_long() -> bool:
        return len(await world.samples()) >= before + 4

    await until(slow_for_long)
    slow = (await world.samples())[before:]
    for sample in slow:
        assert (sample["grayRequests"], sample["grayP99"]) == (0, None), sample
    assert max(sample["baselineP99"] or 0 for sample in slow) > 0.1
    # Well again, it is judged by its own answers.
    world.v1.delay, world.v2.unwell = 0.0, False
    await world.said("finish")
    assert world.weights() == [20, 60, 100]


async def test_a_kill_in_the_middle_repeats_and_skips_no_step(world: World) -> None:
    steps = [{"weight": 20, "for": "1s"}, {"weight": 60, "for": "4s"}, {"weight": 100}]
    world.grayplane.rule("reviews.yaml", document(steps=steps))
    await until(lambda: entered(world, 60))
    await world.grayplane.kill()
    await world.grayplane.start()
    await world.said("finish")
    assert world.weights() == [20, 60, 100]
    await world.all_from("v2")


async def test_a_document_that_is_disabled_takes_it_back_and_enabled_again_begins_it_anew(
    world: World,
) -> None:
    steps = [{"weight": 60, "for": "1h"}, {"weight": 100}]
    world.grayplane.rule("reviews.yaml", document(steps=steps))
    await until(lambda: entered(world, 60))
    world.grayplane.rule("reviews.yaml", {**document(steps=steps), "enabled": False})
    disabled = await world.said("disable")
    assert (disabled["weight"], disabled["why"]) == (0, "the document says enabled: false")
    await world.all_from("v1")
    seen = len(world.grayplane.log())
    world.grayplane.rule("reviews.yaml", document(steps=steps))
    assert (await world.said("enter", seen))["weight"] == 60


async def test_people_steer_it_from_the_command_line(world: World) -> None:
    steps = [{"weight": 20, "approval": True}, {"weight": 60, "approval": True}, {"weight": 100}]
    world.grayplane.rule("reviews.yaml", document(steps=steps))
    await world.said("enter")
    assert "step 1 of 3, 20 %" in await grayplane_says(world, "status", "reviews")
    await grayplane_says(world, "approve", "reviews", "--reason", "looks good")
    await until(lambda: entered(world, 60))
    assert "Observing" in await grayplane_says(world, "list")
    await grayplane_says(world, "abort", "reviews", "--reason", "changed my mind")
    await world.all_from("v1")
    said = await grayplane_says(world, "status", "reviews", status=1)
    assert "RolledBack" in said
    assert "changed my mind" in said
    refused = await grayplane_says(world, "approve", "reviews", status=1)
    assert "it cannot approve; it can abort, retry" in refused
    aborted = await world.said("abort")
    assert aborted["why"] == "changed my mind"
    assert aborted["source"] == "127.0.0.1"
