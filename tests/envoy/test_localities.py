"""Zone-aware load balancing: a proxy prefers the instances of its own zone, as long as there are enough."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_port

HOST = "reviews.example.com"
PREFER = {"loadBalancer": {"localityLbSetting": {"enabled": True}}}
SUBSETS = {"stable": {"labels": {"version": "stable"}}, "gray": {"labels": {"version": "gray"}}}


def instance(port: int, zone: str, version: str = "stable", **more: Any) -> dict[str, Any]:
    return {"address": "127.0.0.1", "port": port, "metadata": {"version": version, "zone": zone}, **more}


class World:
    """An edge in zone ``a`` before a service of which each instance says its zone as its name."""

    def __init__(self, grayplane: Grayplane, envoy: EnvoyProcess, client: Client) -> None:
        self.grayplane = grayplane
        self.envoy = envoy
        self._client = client

    async def answers(self, count: int = 40, **headers: str) -> Counter[str | int]:
        found: Counter[str | int] = Counter()
        for _ in range(count):
            response = await self._client.get(HOST, headers=list(headers.items()))
            said = response.json() if response.status == 200 else {}
            found[f"{said['service']} {said['version']}" if said else response.status] += 1
        return found

    async def has(self, *instances: dict[str, Any]) -> None:
        """List these instances and wait until Envoy has as many."""
        self.grayplane.listed("reviews", list(instances))

        async def holds() -> bool:
            stats = await self.envoy.stats("cluster[.]reviews.*[.]membership_total")
            return max(stats.values(), default=0) == len(instances)

        await until(holds)


@asynccontextmanager
async def world(
    home: Path,
    document: dict[str, Any],
    *instances: dict[str, Any],
    zone: str | None = "a",
    role: str = "edge",
) -> AsyncIterator[World]:
    grayplane = Grayplane(home)
    grayplane.rule("reviews.yaml", {"hosts": [HOST], "aliases": [HOST], **document})
    grayplane.listed("reviews", list(instances))
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap(role, zone=zone)) as envoy,
        Client(grayplane.edge_port if role == "edge" else grayplane.outbound_port) as client,
    ):
        yield World(grayplane, envoy, client)


def _upstream(name: str) -> Upstream:
    zone, _, version = name.partition(" ")
    return Upstream(zone, version)


@asynccontextmanager
async def upstreams(*names: str) -> AsyncIterator[list[Upstream]]:
    """Run instances named ``<zone> <version>``."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_upstream(name)) for name in names]


@pytest.mark.parametrize(
    ("role", "simple"), [("edge", "LEAST_REQUEST"), ("edge", "RANDOM"), ("sidecar", "ROUND_ROBIN")]
)
async def test_the_own_zone_is_preferred(tmp_path: Path, role: str, simple: str) -> None:
    policy = {"loadBalancer": {"simple": simple, **PREFER["loadBalancer"]}}
    async with upstreams("a stable", "b stable", "b stable") as [a, *b]:
        far = [instance(one.port, "b") for one in b]
        near = instance(a.port, "a")
        async with world(tmp_path, {"trafficPolicy": policy}, near, *far, role=role) as edge:
            assert await edge.answers() == {"a stable": 40}


@pytest.mark.parametrize(
    ("policy", "zone"),
    [({}, "a"), (PREFER, None), (PREFER, "c")],
    ids=["no setting", "no zone", "no instance there"],
)
async def test_otherwise_all_zones_serve(tmp_path: Path, policy: dict[str, Any], zone: str | None) -> None:
    async with upstreams("a stable", "b stable") as [a, b]:
        instances = instance(a.port, "a"), instance(b.port, "b")
        async with world(tmp_path, {"trafficPolicy": policy}, *instances, zone=zone) as edge:
            assert set(await edge.answers()) == {"a stable", "b stable"}


async def test_too_few_in_the_own_zone_share_with_the_others_by_weight(tmp_path: Path) -> None:
    setting = {"localityLbSetting": {"minLocalInstances": 2}}
    async with upstreams("a stable", "a stable", "b stable") as [one, two, b]:
        document = {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM", **setting}}}
        near = [instance(each.port, "a") for each in (one, two)]
        far = instance(b.port, "b", weight=4)
        async with world(tmp_path, document, *near, far) as edge:
            assert await edge.answers() == {"a stable": 40}
            await edge.has(near[0], far)
            found = await edge.answers(200)
            assert 10 <= found["a stable"] <= 80, "a fifth of the weight: five standard deviations are 28"
            assert found["a stable"] + found["b stable"] == 200


async def test_a_dead_instance_in_the_own_zone_costs_nobody_a_request(tmp_path: Path) -> None:
    async with upstreams("b stable") as [b]:
        instances = instance(free_port(), "a"), instance(b.port, "b")
        async with world(tmp_path, {"trafficPolicy": PREFER}, *instances) as edge:
            assert await edge.answers() == {"b stable": 40}


async def test_what_is_unwell_is_left_for_another_zone_before_another_version(tmp_path: Path) -> None:
    check = {"healthCheck": {"path": "/health", "interval": "0.5s", "timeout": "1s", "unhealthyThreshold": 1}}
    document = {
        "trafficPolicy": {**PREFER, **check},
        "subsets": SUBSETS,
        "baseline": "stable",
        "http": [{"name": "all", "route": [{"subset": "gray"}]}],
    }
    async with upstreams("a gray", "b gray", "a stable") as [near, far, stable]:
        instances = [
            instance(near.port, "a", "gray"),
            instance(far.port, "b", "gray"),
            instance(stable.port, "a"),
        ]

        async def only(expected: str) -> bool:
            return set(await edge.answers(10)) == {expected}

        async with world(tmp_path, document, *instances) as edge:
            await until(lambda: only("a gray"))
            near.unwell = True
            await until(lambda: only("b gray"))
            far.unwell = True
            await until(lambda: only("a stable"))
            near.unwell = False
            await until(lambda: only("a gray"))


async def test_a_split_and_its_users_stay_as_they_are(tmp_path: Path) -> None:
    """Zones choose among the instances of a version, never between versions."""
    document = {
        "subsets": SUBSETS,
        "baseline": "stable",
        "http": [
            {
                "name": "ramp",
                "sticky": {"header": "x-user"},
                "route": [{"subset": "stable", "weight": 70}, {"subset": "gray", "weight": 30}],
            }
        ],
    }
    async with upstreams("a stable", "b stable", "b gray") as [a, b, gray]:
        instances = instance(a.port, "a"), instance(b.port, "b"), instance(gray.port, "b", "gray")

        async def gray_users(edge: World) -> set[int]:
            return {
                user
                for user in range(100)
                if await edge.answers(1, **{"x-user": f"u{user}"}) == {"b gray": 1}
            }

        async with world(tmp_path, document, *instances) as edge:
            before = await gray_users(edge)
            assert 7 <= len(before) <= 53
            edge.grayplane.rule(
                "reviews.yaml", {"hosts": [HOST], "aliases": [HOST], **document, "trafficPolicy": PREFER}
            )

            async def near() -> bool:
                return not (await edge.answers())["b stable"]

            await until(near)
            assert await gray_users(edge) == before


async def test_a_consistent_hash_looks_at_no_zone(tmp_path: Path) -> None:
    policy = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}
    async with upstreams("a stable", "b stable") as [a, b]:
        instances = instance(a.port, "a"), instance(b.port, "b")
        async with world(tmp_path, {"trafficPolicy": policy}, *instances) as edge:
            found = [await edge.answers(4, **{"x-user": str(user)}) for user in range(20)]
            assert all(len(each) == 1 for each in found), "a user stays on an instance"
            assert len({name for each in found for name in each}) == 2
