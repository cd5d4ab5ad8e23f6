"""What becomes of gray's share of the requests while gray cannot serve, whatever the registry says."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_port

HOST = "reviews.example.com"


def rule(**gray_policy: Any) -> dict[str, Any]:
    """Send everything to gray."""
    gray: dict[str, Any] = {"labels": {"version": "gray"}}
    if gray_policy:
        gray["trafficPolicy"] = gray_policy
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "stable"}}, "gray": gray},
        "baseline": "stable",
        "http": [{"name": "all", "route": [{"subset": "gray"}]}],
    }


def at(version: str, *ports: int) -> list[dict[str, Any]]:
    return [{"address": "127.0.0.1", "port": port, "metadata": {"version": version}} for port in ports]


@asynccontextmanager
async def edge(
    home: Path, document: dict[str, Any], *instances: dict[str, Any]
) -> AsyncIterator[tuple[Grayplane, EnvoyProcess, Client]]:
    grayplane = Grayplane(home)
    grayplane.rule("reviews.yaml", document)
    grayplane.listed("reviews", list(instances))
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
        Client(grayplane.edge_port) as client,
    ):
        yield grayplane, envoy, client


async def answers(client: Client, count: int, method: str = "GET") -> Counter[str | int]:
    """Count who answers: a version, or the status of an answer that is none of theirs."""
    found: Counter[str | int] = Counter()
    for _ in range(count):
        response = await client.request(method, HOST, body=b"order" if method == "POST" else b"")
        found[response.json()["version"] if response.status == 200 else response.status] += 1
    return found


def only(client: Client, version: str) -> Callable[[], Awaitable[bool]]:
    """Whether ten requests in a row are answered by this version."""

    async def holds() -> bool:
        return set(await answers(client, 10)) == {version}

    return holds


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("dead", [1, 4])
async def test_dead_but_registered_costs_nobody_a_request(tmp_path: Path, dead: int, method: str) -> None:
    async with (
        Upstream("reviews", "stable") as stable,
        edge(
            tmp_path, rule(), *at("stable", stable.port), *at("gray", *(free_port() for _ in range(dead)))
        ) as (_, _, client),
    ):
        assert await answers(client, 60, method) == {"stable": 60}


async def test_one_living_gray_instance_keeps_grays_share(tmp_path: Path) -> None:
    dead = [free_port() for _ in range(3)]
    async with (
        Upstream("reviews", "stable") as stable,
        Upstream("reviews", "gray") as gray,
        edge(tmp_path, rule(), *at("stable", stable.port), *at("gray", gray.port, *dead)) as (_, _, client),
    ):
        found = Counter[str | int]()

        async def settled() -> bool:
            found.update(last := await answers(client, 10))
            return set(last) == {"gray"}

        await until(settled)
        assert set(found) <= {"gray", "stable"}, "until the dead are known, the second retry may fall back"


async def test_gray_serves_again_when_it_is_back_however_often_it_goes(tmp_path: Path) -> None:
    async with Upstream("reviews", "stable") as stable:
        gray = Upstream("reviews", "gray")
        await gray.__aenter__()
        port = gray.port
        async with edge(tmp_path, rule(), *at("stable", stable.port), *at("gray", port)) as (_, _, client):
            found = Counter[str | int]()
            for _ in range(3):
                await until(only(client, "gray"))
                await gray.stop()
                found += await answers(client, 40)
                await until(only(client, "stable"))
                gray = Upstream("reviews", "gray", port)
                await gray.__aenter__()
            await gray.stop()
        # A request under way on a connection as it breaks may have been seen, and is not sent again.
        assert found[503] <= 3
        assert found["stable"] >= 3 * 35


async def test_gray_that_answers_503_is_left_by_outlier_detection(tmp_path: Path) -> None:
    policy = {"outlierDetection": {"consecutive5xxErrors": 3, "interval": "1s", "baseEjectionTime": "2s"}}
    async with (
        Upstream("reviews", "stable") as stable,
        Upstream("reviews", "gray") as gray,
        edge(tmp_path, rule(**policy), *at("stable", stable.port), *at("gray", gray.port)) as (_, _, client),
    ):
        assert await answers(client, 10) == {"gray": 10}
        gray.status = 503
        found = await answers(client, 30)
        assert found[503] == 3, "as many as it takes to be ejected"
        assert found["stable"] == 27
        gray.status = 200
        await until(only(client, "gray"))


async def test_gray_that_is_unwell_is_left_by_health_checks(tmp_path: Path) -> None:
    policy = {"healthCheck": {"path": "/health", "interval": "1s", "timeout": "1s", "unhealthyThreshold": 1}}
    async with (
        Upstream("reviews", "stable") as stable,
        Upstream("reviews", "gray") as gray,
        edge(tmp_path, rule(**policy), *at("stable", stable.port), *at("gray", gray.port)) as (_, _, client),
    ):
        await until(only(client, "gray"))
        gray.unwell = True
        await until(only(client, "stable"))
        gray.unwell = False
        await until(only(client, "gray"))


async def test_when_nobody_is_well_everybody_is_asked(tmp_path: Path) -> None:
    """A health check on a path that no version has is no outage."""
    policy = {"healthCheck": {"path": "/health", "interval": "1s", "timeout": "1s"}}
    document = {**rule(), "trafficPolicy": policy}
    async with Upstream("reviews", "stable") as stable, Upstream("reviews", "gray") as gray:
        stable.unwell = gray.unwell = True
        async with edge(tmp_path, document, *at("stable", stable.port), *at("gray", gray.port)) as (
            _,
            envoy,
            client,
        ):
            await until(lambda: _nobody_is_healthy(envoy))
            assert set(await answers(client, 30)) <= {"gray", "stable"}


async def _nobody_is_healthy(envoy: EnvoyProcess) -> bool:
    stats = await envoy.stats("cluster[.]reviews.*[.]membership_healthy")
    return len(stats) == 2 and not any(stats.values())


async def test_what_gray_and_stable_speak_may_differ(tmp_path: Path) -> None:
    """The baseline cannot stand in for gray within gray's cluster then, but it does when gray is gone."""
    document = rule(protocol="http2")
    async with Upstream("reviews", "stable") as stable:
        instances = at("stable", stable.port), at("gray", free_port())
        async with edge(tmp_path, document, *instances[0], *instances[1]) as (grayplane, _, client):
            assert await answers(client, 5) == {503: 5}
            grayplane.listed("reviews", instances[0])
            await until(only(client, "stable"))


async def test_gray_that_dies_under_load(tmp_path: Path) -> None:
    async with (
        Upstream("reviews", "stable") as stable,
        Upstream("reviews", "gray") as gray,
        edge(tmp_path, rule(), *at("stable", stable.port), *at("gray", gray.port)) as (grayplane, _, _),
    ):
        found = Counter[str | int]()

        async def send() -> None:
            async with Client(grayplane.edge_port) as client:
                while found["stable"] < 400:
                    found.update(await answers(client, 1))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(send())
            while found["gray"] < 100:
                await asyncio.sleep(0.01)
            await gray.stop()
        assert found[503] <= 8, "at most those that were under way"


@pytest.mark.parametrize(("fallback", "answer"), [("beta", "beta"), ("none", 503), (None, "stable")])
async def test_a_rule_says_who_serves_instead(
    tmp_path: Path, fallback: str | None, answer: str | int
) -> None:
    document = rule()
    document["subsets"]["beta"] = {"labels": {"version": "beta"}}
    if fallback:
        document["http"][0]["fallback"] = fallback
    async with Upstream("reviews", "stable") as stable, Upstream("reviews", "beta") as beta:
        alive = [*at("stable", stable.port), *at("beta", beta.port)]
        dead = at("gray", free_port())
        async with edge(tmp_path, document, *alive, *dead) as (grayplane, envoy, client):
            assert await answers(client, 20) == {answer: 20}, "registered, and dead"
            grayplane.listed("reviews", alive)
            await until(lambda: _has_no_dead(envoy))
            assert await answers(client, 20) == {answer: 20}, "not registered"


async def _has_no_dead(envoy: EnvoyProcess) -> bool:
    """Whether every cluster of gray has instances of its fallback alone."""
    statuses = json.loads(await envoy.admin("/clusters?format=json"))["cluster_statuses"]
    gray = [status for status in statuses if status["name"].startswith("reviews|gray")]
    return all(host.get("priority") for status in gray for host in status.get("host_statuses", ()))
