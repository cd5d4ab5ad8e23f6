"""Scoped and lazy routes on a real Envoy, many services, real requests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

SERVICES = 1000

SWITCHES = [
    ("edge", "shared", "scoped"),
    ("edge", "scoped", "shared"),
    ("sidecar", "shared", "lazy"),
    ("sidecar", "lazy", "shared"),
    ("sidecar", "scoped", "lazy"),
]


def subsets(gray: int) -> dict[str, object]:
    return {
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {
                "name": "ramp",
                "route": [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}],
            }
        ],
    }


def fill(grayplane: Grayplane, *upstreams: Upstream, services: int = SERVICES) -> None:
    """Write many services, all on the same instances, each with a host of its own."""
    for number in range(services):
        grayplane.instances(f"s{number}", *upstreams)
        grayplane.rule(f"s{number}.yaml", {"hosts": [f"s{number}.example.com"], **subsets(0)})


class Asker:
    """Asks an Envoy who serves a host."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, host: str) -> str | int:
        response = await self._client.get(host)
        return response.json()["version"] if response.status == 200 else response.status

    async def until(self, host: str, answer: str | int) -> None:
        """Wait for an answer; 200 is any version's."""

        async def holds() -> bool:
            said = await self(host)
            return said == answer or (answer == 200 and isinstance(said, str))

        await until(holds)


@pytest.fixture
async def upstreams() -> AsyncIterator[tuple[Upstream, Upstream]]:
    async with Upstream("s", "v1") as v1, Upstream("s", "v2") as v2:
        yield v1, v2


async def updates(envoy: EnvoyProcess, pattern: str) -> int:
    stats = await envoy.stats(f"{pattern}[.]update_success")
    assert stats
    return sum(stats.values())


async def test_scoped_routes_of_an_edge(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    grayplane = Grayplane(tmp_path, "--set", "edge.routes=scoped")
    fill(grayplane, *upstreams)
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
        Client(grayplane.edge_port) as client,
    ):
        ask = Asker(client)
        await ask.until("s999.example.com", "v1")
        assert {await ask(f"s{number}.example.com") for number in range(SERVICES)} == {"v1"}
        assert await ask("unknown.example.com") == 404
        assert await ask("s7.example.com:8443") == "v1", "a port says nothing"

        before = await updates(envoy, "http[.]edge[.]rds[.].*")
        grayplane.rule("s7.yaml", {"hosts": ["s7.example.com"], **subsets(100)})
        await ask.until("s7.example.com", "v2")
        assert await updates(envoy, "http[.]edge[.]rds[.].*") == before + 1, "one service's routes"
        assert await ask("s8.example.com") == "v1"

        grayplane.rule("s7.yaml", {"hosts": ["seven.example.com"], **subsets(100)})
        await ask.until("seven.example.com", "v2")
        await ask.until("s7.example.com", 404)
        (grayplane.rules / "s8.yaml").unlink()
        await ask.until("s8.example.com", 404)

        seen = len(grayplane.log())
        grayplane.rule("s9.yaml", {"hosts": ["*.example.com"], **subsets(100)})
        said = await grayplane.until_logged(lambda entry: entry.get("field") == "hosts[0]", seen)
        assert said["document"] == "s9.yaml"
        assert await ask("s9.example.com") == "v1", "the last good version stays"


async def test_scoped_routes_of_a_sidecar(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    grayplane = Grayplane(tmp_path, "--set", "sidecar.routes=scoped")
    fill(grayplane, *upstreams)
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap("sidecar", upstreams=["s1", "s2"])) as envoy,
        Client(grayplane.outbound_port) as client,
    ):
        ask = Asker(client)
        await ask.until("s1", "v1")
        assert await ask("s2") == "v1"
        assert await ask("s3") == 404
        grayplane.rule("s1.yaml", subsets(100))
        await ask.until("s1", "v2")
        assert await loaded(envoy) == {"s1", "s2"}


async def loaded(envoy: EnvoyProcess) -> set[str]:
    """Return the services that an Envoy has clusters of."""
    stats = await envoy.stats("cluster[.]s[0-9].*[.]membership_total|cluster[.]late.*[.]membership_total")
    return {stat.split(".")[1].partition("|")[0] for stat in stats}


async def test_a_lazy_sidecar_holds_what_it_calls(
    tmp_path: Path, upstreams: tuple[Upstream, Upstream]
) -> None:
    grayplane = Grayplane(tmp_path, "--set", "sidecar.routes=lazy")
    fill(grayplane, *upstreams)
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap("sidecar", service="app")) as envoy,
        Client(grayplane.outbound_port) as client,
    ):
        ask = Asker(client)
        assert await loaded(envoy) == set()
        called = {"s1", "s20", "s300", "s999", "s5"}
        assert {await ask(service) for service in called} == {"v1"}, "the first request is served"
        assert await loaded(envoy) == called
        assert await ask("s20:8080") == "v1", "a port says nothing"

        assert await ask("late") == 404
        assert await ask("late") == 404

        seen = await updates(envoy, "cluster_manager.cds")
        grayplane.rule("s2.yaml", subsets(100))
        await grayplane.until_logged(lambda entry: entry.get("document") == "s2.yaml" and entry["services"])
        grayplane.rule("s1.yaml", subsets(100))
        await ask.until("s1", "v2")
        assert await updates(envoy, "cluster_manager.cds") == seen + 1, "s1|gray; of s2, nothing"
        assert await ask("s2") == "v2", "it has the last rule when it is loaded"

        grayplane.instances("late", *upstreams)
        await ask.until("late", 200)


async def test_what_a_lazy_sidecar_loaded_stays_current(
    tmp_path: Path, upstreams: tuple[Upstream, Upstream]
) -> None:
    grayplane = Grayplane(tmp_path, "--set", "sidecar.routes=lazy")
    fill(grayplane, *upstreams)
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap("sidecar", service="app")) as envoy,
        Client(grayplane.outbound_port) as client,
    ):
        ask = Asker(client)
        assert await ask("s1") == "v1"
        assert await ask("s2") == "v1"
        await grayplane.kill()
        grayplane.rule("s1.yaml", subsets(100))
        (grayplane.rules / "s2.yaml").unlink()
        (grayplane.services / "s2.yaml").unlink()
        assert await ask("s1") == "v1", "Envoy keeps serving"
        await grayplane.start()
        await ask.until("s1", "v2")
        await ask.until("s2", 404)
        assert await ask("s3") == "v1"
        assert await loaded(envoy) >= {"s1", "s3"}


@pytest.mark.parametrize(("role", "before", "after"), SWITCHES)
async def test_a_group_that_is_switched_loses_no_request(
    tmp_path: Path, upstreams: tuple[Upstream, Upstream], role: str, before: str, after: str
) -> None:
    grayplane = Grayplane(tmp_path)
    fill(grayplane, *upstreams, services=20)
    grayplane.set(f"{role}.routes", before)
    async with grayplane, EnvoyProcess(grayplane.bootstrap(role)) as envoy:
        port = grayplane.edge_port if role == "edge" else grayplane.outbound_port
        domain = ".example.com" if role == "edge" else ""
        answers: list[str | int] = []

        async def send(number: int) -> None:
            async with Client(port) as client:
                while True:
                    answers.append(await Asker(client)(f"s{number}{domain}"))

        async with Client(port) as client:
            await Asker(client).until(f"s1{domain}", "v1")
        async with asyncio.TaskGroup() as tasks:
            senders = [tasks.create_task(send(number)) for number in range(4)]
            await grayplane.stop()
            grayplane.set(f"{role}.routes", after)
            await grayplane.start()
            await until(lambda: _has_listener_updated(envoy))
            await asyncio.sleep(3)  # the drain delay, 1 s here, and what comes after it
            grayplane.rule("s1.yaml", {"hosts": ["s1.example.com"], **subsets(100)})
            async with Client(port) as client:
                await Asker(client).until(f"s1{domain}", "v2")
            for sender in senders:
                sender.cancel()
        assert set(answers) <= {"v1", "v2"}


async def _has_listener_updated(envoy: EnvoyProcess) -> bool:
    return (await envoy.stats("listener_manager.listener_modified"))["listener_manager.listener_modified"] > 0
