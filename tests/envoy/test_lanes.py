"""Lanes in real Envoys: coloured at the edge, followed at every hop, back in the lane after a fallback."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import h11
import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Headers, Upstream
from tests.harness.ports import free_port

HOST = "front.example.com"
LANES = {
    "lanes": [
        {
            "name": "gray",
            "header": "x-gray-lane",
            "subset": "gray",
            "enter": [
                {"headers": {"x-user-group": {"exact": "beta"}}},
                {"query": {"lane": {"exact": "gray"}}},
            ],
        },
        {
            "name": "blue",
            "baggage": "lane",
            "subset": "gray",
            "enter": [{"percentage": {"value": 100, "cookie": "blue"}}, {"sourceIp": ["192.0.2.0/24"]}],
        },
    ]
}
SERVICES = {"front": ("stable", "gray"), "middle": ("stable",), "back": ("stable", "gray")}
FOLLOWING = {"front": "middle", "middle": "back", "back": None}


class Hop(Upstream):
    """A service that calls the next one through its sidecar.

    It passes on what OpenTelemetry or a tracer does, and knows nothing of lanes.
    """

    sidecar_port = 0

    async def said(self, request: h11.Request) -> dict[str, Any]:
        said = await super().said(request)
        chain = [f"{self.service}-{self.version}"]
        following = FOLLOWING[self.service]
        if following:
            headers = said["headers"].items()
            carried = [(name, value) for name, value in headers if name in {"baggage", "x-gray-lane"}]
            async with Client(self.sidecar_port) as client:
                chain += (await client.get(following, "/", carried)).json()["chain"]
        return said | {"chain": chain}


def rule(service: str, versions: tuple[str, ...], **more: Any) -> dict[str, Any]:
    subsets = {name: {"labels": {"version": name}} for name in versions}
    return {"service": service, "subsets": subsets, "baseline": "stable", **more}


class World:
    """A chain of three services, of which the first and the third have a gray version."""

    def __init__(
        self, grayplane: Grayplane, sidecar: EnvoyProcess, client: Client, hops: Mapping[str, Sequence[Hop]]
    ) -> None:
        self.grayplane = grayplane
        self.sidecar = sidecar
        self.hops = hops
        self._client = client

    async def chain(self, target: str = "/", headers: Headers = ()) -> list[str]:
        """Return which versions took part in a request."""
        response = await self._client.get(HOST, target, headers)
        return response.json()["chain"] if response.status == 200 else [str(response.status)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        grayplane = Grayplane(tmp_path, "--set", "edge.trusted_hops=1")
        hops: dict[str, list[Hop]] = {}
        for service, versions in SERVICES.items():
            hops[service] = [await stack.enter_async_context(Hop(service, version)) for version in versions]
            for hop in hops[service]:
                hop.sidecar_port = grayplane.outbound_port
            grayplane.instances(service, *hops[service])
            hosts = {"hosts": [HOST]} if service == "front" else {}
            grayplane.rule(f"{service}.yaml", rule(service, versions, **hosts))
        grayplane.rule("lanes.yaml", LANES)
        await stack.enter_async_context(grayplane)
        await stack.enter_async_context(EnvoyProcess(grayplane.bootstrap("edge")))
        sidecar = await stack.enter_async_context(EnvoyProcess(grayplane.bootstrap("sidecar")))
        client = await stack.enter_async_context(Client(grayplane.edge_port))
        yield World(grayplane, sidecar, client, hops)


STABLE = ["front-stable", "middle-stable", "back-stable"]
IN_LANE = ["front-gray", "middle-stable", "back-gray"]


async def test_a_lane_is_followed_through_a_chain(world: World) -> None:
    for target, headers, expected in (
        ("/", [], STABLE),
        ("/", [("x-user-group", "beta")], IN_LANE),
        ("/?lane=gray", [], IN_LANE),
        ("/", [("cookie", "blue=someone")], IN_LANE),
        ("/", [("x-forwarded-for", "192.0.2.7")], IN_LANE),
        # Marks from outside count for nothing, whether or not the request enters a lane by itself.
        ("/", [("x-gray-lane", "gray")], STABLE),
        ("/", [("baggage", "lane=blue")], STABLE),
        ("/", [("baggage", "a=b, lane = blue;p=1"), ("x-gray-lane", "gray")], STABLE),
        ("/", [("x-gray-lane", "gray"), ("cookie", "blue=someone")], IN_LANE),
    ):
        assert await world.chain(target, headers) == expected, (target, headers)


async def test_lanes_change_while_requests_run(world: World) -> None:
    assert await world.chain(headers=[("x-user-group", "beta")]) == IN_LANE
    world.grayplane.rule("lanes.yaml", {"lanes": LANES["lanes"][1:]})
    await until(lambda: _is(world, STABLE))
    world.grayplane.rule("lanes.yaml", LANES)
    await until(lambda: _is(world, IN_LANE))


async def test_a_dead_hop_of_a_lane_is_served_by_its_baseline_and_the_lane_goes_on(world: World) -> None:
    """The gray instance in the middle is registered, healthy to the registry, and dead."""
    [alive] = world.hops["middle"]
    port = free_port()
    dead = {"address": "127.0.0.1", "port": port, "metadata": {"version": "gray"}}
    world.grayplane.rule("middle.yaml", rule("middle", ("stable", "gray")))
    world.grayplane.listed(
        "middle", [{"address": "127.0.0.1", "port": alive.port, "metadata": {"version": "stable"}}, dead]
    )
    await until(lambda: _has_cluster(world, "middle|gray"))
    for _ in range(20):
        assert await world.chain(headers=[("x-user-group", "beta")]) == IN_LANE, "and nothing fails"
    async with Hop("middle", "gray", port) as back:
        back.sidecar_port = alive.sidecar_port
        whole = ["front-gray", "middle-gray", "back-gray"]
        await until(lambda: _is(world, whole))
        assert await world.chain() == STABLE
    await until(lambda: _is(world, IN_LANE))


async def _has_cluster(world: World, name: str) -> bool:
    stats = await world.sidecar.stats(f"cluster[.]{re.escape(name)}[.]membership_total")
    return set(stats.values()) == {2}


async def _is(world: World, expected: list[str]) -> bool:
    return await world.chain(headers=[("x-user-group", "beta")]) == expected
