"""Instances whose address is a host name: Envoy resolves it, and all else stays as with IP addresses."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness.dns import DnsServer
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_port

HOST = "reviews.example.com"
RULE = {
    "hosts": [HOST],
    "subsets": {"stable": {"labels": {"version": "stable"}}, "gray": {"labels": {"version": "gray"}}},
    "baseline": "stable",
    "http": [{"name": "all", "route": [{"subset": "gray"}]}],
}
NAMES = {"gray.test": ["127.0.0.1"], "many.test": ["127.0.0.2", "127.0.0.3"]}


def at(address: str, port: int, version: str = "gray", **more: Any) -> dict[str, Any]:
    return {"address": address, "port": port, "metadata": {"version": version}, **more}


class World:
    """An edge that asks a DNS server of the test's own."""

    def __init__(self, grayplane: Grayplane, envoy: EnvoyProcess, dns: DnsServer, client: Client) -> None:
        self.grayplane = grayplane
        self.envoy = envoy
        self.dns = dns
        self.client = client

    async def answers(self, count: int = 30) -> Counter[str | int]:
        """Count who answers: a version, or the status of an answer that is none of theirs."""
        found: Counter[str | int] = Counter()
        for _ in range(count):
            response = await self.client.get(HOST)
            found[response.json()["version"] if response.status == 200 else response.status] += 1
        return found

    async def only(self, version: str | int) -> bool:
        return set(await self.answers(10)) == {version}


@asynccontextmanager
async def edge(home: Path, *instances: dict[str, Any], rule: dict[str, Any] = RULE) -> AsyncIterator[World]:
    grayplane = Grayplane(home)
    grayplane.rule("reviews.yaml", rule)
    grayplane.listed("reviews", list(instances))
    async with DnsServer(NAMES) as dns, grayplane:
        bootstrap = grayplane.bootstrap("edge") | {"typed_dns_resolver_config": dns.resolver()}
        async with EnvoyProcess(bootstrap) as envoy, Client(grayplane.edge_port) as client:
            yield World(grayplane, envoy, dns, client)


async def test_a_name_is_resolved(tmp_path: Path) -> None:
    async with (
        Upstream("reviews", "stable") as stable,
        Upstream("reviews", "gray") as gray,
        edge(tmp_path, at("127.0.0.1", stable.port, "stable"), at("Gray.Test", gray.port)) as world,
    ):
        assert await world.answers() == {"gray": 30}


async def test_every_address_of_a_name_is_an_instance(tmp_path: Path) -> None:
    async with edge(tmp_path, at("127.0.0.1", free_port(), "stable"), at("many.test", 9)) as world:
        stats = await world.envoy.stats("cluster.reviews.gray.membership_total")
        assert set(stats.values()) == {3}, "two addresses, and the fallback's"


async def test_names_and_addresses_serve_side_by_side_by_weight(tmp_path: Path) -> None:
    async with (
        Upstream("reviews", "stable") as stable,
        Upstream("reviews", "named") as named,
        Upstream("reviews", "numbered") as numbered,
        edge(
            tmp_path,
            at("127.0.0.1", stable.port, "stable"),
            at("gray.test", named.port, weight=1),
            at("127.0.0.1", numbered.port, weight=4),
            rule=RULE | {"trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}},
        ) as world,
    ):
        found = await world.answers(200)
        assert found.keys() == {"named", "numbered"}
        assert 20 <= found["named"] <= 60, "a fifth, in turns, on each of two workers"


async def test_a_name_that_does_not_resolve_leaves_its_share_to_the_fallback(tmp_path: Path) -> None:
    async with (
        Upstream("reviews", "stable") as stable,
        Upstream("reviews", "gray") as gray,
        edge(tmp_path, at("127.0.0.1", stable.port, "stable"), at("later.test", gray.port)) as world,
    ):
        assert await world.answers() == {"stable": 30}
        world.dns.addresses["later.test"] = ["127.0.0.1"]
        await until(lambda: world.only("gray"))


async def test_a_name_that_does_not_resolve_harms_no_other_instance(tmp_path: Path) -> None:
    async with (
        Upstream("reviews", "gray") as gray,
        edge(tmp_path, at("nowhere.test", 80), at("127.0.0.1", gray.port)) as world,
    ):
        assert await world.answers() == {"gray": 30}


async def test_a_named_instance_that_is_dead_hands_its_share_to_the_fallback(tmp_path: Path) -> None:
    async with (
        Upstream("reviews", "stable") as stable,
        edge(tmp_path, at("127.0.0.1", stable.port, "stable"), at("gray.test", free_port())) as world,
    ):
        assert await world.answers() == {"stable": 30}


async def test_instances_go_from_addresses_to_names_and_back_without_a_lost_request(tmp_path: Path) -> None:
    async with Upstream("reviews", "stable") as stable, Upstream("reviews", "gray") as gray:
        numbered = at("127.0.0.1", stable.port, "stable"), at("127.0.0.1", gray.port)
        named = numbered[0], at("gray.test", gray.port)
        async with edge(tmp_path, *numbered) as world, Client(world.grayplane.edge_port) as other:
            found: Counter[str | int] = Counter()

            async def send() -> None:
                while True:
                    response = await other.get(HOST)
                    found[response.json()["version"] if response.status == 200 else response.status] += 1

            sender = asyncio.create_task(send())
            for instances, is_named in ((named, True), (numbered, False), (named, True), (numbered, False)):
                world.grayplane.listed("reviews", list(instances))
                await until(partial(_resolves, world, is_named))
                await until(partial(_beyond, found, found.total() + 20))
            sender.cancel()
            assert found.keys() <= {"gray", "stable"}, "the fallback may serve while a name is resolved"
            assert found["gray"] > found["stable"]


async def _resolves(world: World, expected: bool) -> bool:
    """Whether the cluster of gray is one of names."""
    clusters = next(each for each in await world.envoy.config_dump() if "dynamic_active_clusters" in each)
    [gray] = [
        each["cluster"]
        for each in clusters["dynamic_active_clusters"]
        if each["cluster"]["name"] == "reviews|gray"
    ]
    return (gray["type"] == "STRICT_DNS") is expected


async def _beyond(found: Counter[str | int], count: int) -> bool:
    return found.total() > count
