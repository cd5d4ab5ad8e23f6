"""Rollouts on a real Envoy: what it reports of sample services that are well, fail or get little traffic."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"
LOAD = 8
"""Connections that send requests, each as fast as they are answered."""


def document(**rollout: Any) -> dict[str, Any]:
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {
                "name": "ramp",
                "sticky": {"header": "x-user-id"},
                "route": [{"subset": "stable", "weight": 95}, {"subset": "gray", "weight": 5}],
            }
        ],
        "rollout": {
            "subset": "gray",
            "steps": [{"weight": 20, "for": "2s"}, {"weight": 60, "for": "2s"}, {"weight": 100}],
            "analysis": {"interval": "1s", "minRequests": 20, "successRate": {"min": 95.0}},
            **rollout,
        },
    }


class World:
    """Grayplane, an Envoy edge, two versions of a service, and users who ask without pause."""

    def __init__(self, home: Path, grayplane: Grayplane, v1: Upstream, v2: Upstream) -> None:
        self.grayplane = grayplane
        self.v1, self.v2 = v1, v2
        self.answers: list[tuple[int, str]] = []
        self.pause = 0.0
        self.status = home / "state" / "status" / "reviews.yaml"

    async def said(self, what: str, seen: int = 0) -> dict[str, Any]:
        return await self.grayplane.until_logged(lambda entry: entry["event"] == f"rollout: {what}", seen)

    def weights(self) -> list[float]:
        entered = (entry for entry in self.grayplane.log() if entry["event"] == "rollout: enter")
        return [entry["weight"] for entry in entered]

    async def all_from(self, version: str) -> None:
        async def holds() -> bool:
            start = len(self.answers)
            while len(self.answers) < start + 50:
                await asyncio.sleep(0.02)
            return {answer[1] for answer in self.answers[start + 30 :]} == {version}

        await until(holds)

    async def users(self, number: int) -> None:
        async with Client(self.grayplane.edge_port) as client:
            while True:
                headers = [("x-user-id", f"user-{number}-{len(self.answers) % 1000}")]
                response = await client.get(HOST, headers=headers)
                version = response.json()["version"] if response.body.startswith(b"{") else "none"
                self.answers.append((response.status, version))
                await asyncio.sleep(self.pause)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Upstream("reviews", "v1") as v1, Upstream("reviews", "v2") as v2:
        grayplane = Grayplane(tmp_path, "--set", "rollouts.report_interval=0.5")
        grayplane.instances("reviews", v1, v2)
        grayplane.rule("reviews.yaml", {key: one for key, one in document().items() if key != "rollout"})
        async with grayplane, EnvoyProcess(grayplane.bootstrap("edge")) as envoy:
            assert envoy
            world = World(tmp_path, grayplane, v1, v2)
            async with _load(world):
                yield world


@asynccontextmanager
async def _load(world: World) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        senders = [tasks.create_task(world.users(number)) for number in range(LOAD)]
        yield
        for sender in senders:
            sender.cancel()


async def test_a_good_release_goes_through_and_no_request_fails(world: World) -> None:
    world.grayplane.rule("reviews.yaml", document())
    await world.said("finish")
    await world.all_from("v2")
    assert world.weights() == [20, 60, 100]
    assert {status for status, _ in world.answers} == {200}

    async def told() -> bool:
        said = yaml.safe_load(world.status.read_text()) if world.status.exists() else {}
        return (said.get("rollout") or {}).get("state") == "Promoted" and said["split"]["ramp"]["gray"] == 100

    await until(told)


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
    await until(lambda: _entered(world, 60))
    world.v2.status = 500
    await world.said("fail")
    await world.all_from("v1")


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


async def test_a_kill_in_the_middle_repeats_and_skips_no_step(world: World) -> None:
    steps = [{"weight": 20, "for": "1s"}, {"weight": 60, "for": "4s"}, {"weight": 100}]
    world.grayplane.rule("reviews.yaml", document(steps=steps))
    await until(lambda: _entered(world, 60))
    await world.grayplane.kill()
    await world.grayplane.start()
    await world.said("finish")
    assert world.weights() == [20, 60, 100]
    await world.all_from("v2")


async def test_people_steer_it_from_the_command_line(world: World) -> None:
    steps = [{"weight": 20, "approval": True}, {"weight": 60, "approval": True}, {"weight": 100}]
    world.grayplane.rule("reviews.yaml", document(steps=steps))
    await world.said("enter")
    assert "step 1 of 3, 20 %" in await _grayplane(world, "status", "reviews")
    await _grayplane(world, "approve", "reviews", "--reason", "looks good")
    await until(lambda: _entered(world, 60))
    assert "Observing" in await _grayplane(world, "list")
    await _grayplane(world, "abort", "reviews", "--reason", "changed my mind")
    await world.all_from("v1")
    said = await _grayplane(world, "status", "reviews", status=1)
    assert "RolledBack" in said
    assert "changed my mind" in said
    refused = await _grayplane(world, "approve", "reviews", status=1)
    assert "it cannot approve; it can abort, retry" in refused
    aborted = await world.said("abort")
    assert aborted["why"] == "changed my mind"
    assert aborted["source"] == "127.0.0.1"


async def _grayplane(world: World, *arguments: str, status: int = 0) -> str:
    """Run ``grayplane rollout``; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("grayplane"),
        *("rollout", *arguments, "--server", f"http://127.0.0.1:{world.grayplane.http_port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == status, said.decode()
    return said.decode()


async def _entered(world: World, weight: float) -> bool:
    return weight in world.weights()
