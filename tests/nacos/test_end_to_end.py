"""From the Nacos console to real requests through a real Envoy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import Console

HOST = "reviews.example.com"


def rule(gray: int, *, enabled: bool = True) -> str:
    route = [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}]
    return yaml.safe_dump(
        {
            "enabled": enabled,
            "hosts": [HOST],
            "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
            "baseline": "stable",
            "http": [{"name": "ramp", "route": route}],
        }
    )


class World:
    """Rules and instances in a real Nacos, and an Envoy edge."""

    def __init__(self, operator: Console, client: Client, v1: Upstream, v2: Upstream) -> None:
        self.operator = operator
        self.v1 = v1
        self.v2 = v2
        self._client = client

    async def register(self, upstream: Upstream) -> None:
        await self.operator.register(
            upstream.service, "127.0.0.1", upstream.port, {"version": upstream.version}
        )

    async def deregister(self, upstream: Upstream) -> None:
        await self.operator.deregister(upstream.service, "127.0.0.1", upstream.port)

    async def until(self, answer: str | int, host: str = HOST) -> None:
        """Wait until twenty requests in a row are answered like this."""

        async def holds() -> bool:
            responses = [await self._client.get(host) for _ in range(20)]
            said = {each.json()["version"] if each.status == 200 else each.status for each in responses}
            return said == {answer}

        await until(holds)


@pytest.fixture
async def world(tmp_path: Path, nacos: NacosServer, operator: Console) -> AsyncIterator[World]:
    environment = nacos.environment(operator.namespace)
    async with (
        Upstream("reviews", "v1") as v1,
        Upstream("reviews", "v2") as v2,
        Grayplane(tmp_path, "--nacos", nacos.address, environment=environment) as grayplane,
        EnvoyProcess(grayplane.bootstrap("edge")),
        Client(grayplane.edge_port) as client,
    ):
        world = World(operator, client, v1, v2)
        await world.register(v1)
        await world.register(v2)
        yield world


async def test_rules_as_they_are_edited_in_the_console(world: World) -> None:
    await world.operator.publish("reviews.yaml", rule(100))
    await world.until("v2")
    await world.operator.publish("reviews.yaml", rule(100, enabled=False))
    await world.until("v1")
    await world.operator.publish("ratings.yaml", "hosts: [ratings.example.com]")
    async with Upstream("ratings", "v1") as ratings:
        await world.register(ratings)
        await world.until("v1", "ratings.example.com")
        await world.operator.delete("reviews.yaml")
        await world.until(404)
        await world.until("v1", "ratings.example.com")


async def test_a_burst_of_publishes_ends_with_the_last_one(world: World) -> None:
    for number in range(40):
        await world.operator.publish("reviews.yaml", rule(0 if number % 2 else 50))
        await asyncio.sleep(0.002)
    await world.operator.publish("reviews.yaml", rule(100))
    await world.until("v2")


async def test_instances_come_and_go(world: World) -> None:
    await world.operator.publish("reviews.yaml", rule(100))
    await world.until("v2")
    await world.deregister(world.v2)
    await world.until("v1")
    await world.register(world.v2)
    await world.until("v2")
    await world.deregister(world.v1)
    await world.deregister(world.v2)
    await world.until(503)
    await world.register(world.v1)
    await world.until("v1")
