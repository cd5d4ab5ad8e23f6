"""Of the services that are registered, those that a rule or a proxy needs are watched, and no others."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import Console
from tests.harness.recorder import recording
from tests.nacos.outage import Outage, outage_world, until_serving_from
from tests.nacos.world import World, rule, until_answered
from xds.sources.nacos import NacosSettings, NacosSource
from xds.sources.watched_services import Needs, WatchedServices

OTHERS = [f"other-{number}" for number in range(20)]


@pytest.fixture
async def grayplane(tmp_path: Path, nacos: NacosServer, operator: Console) -> AsyncIterator[Grayplane]:
    await asyncio.gather(*(operator.register(service, "10.0.0.1", 80) for service in OTHERS))
    environment = nacos.environment(operator.namespace)
    async with Grayplane(tmp_path, "--nacos", nacos.address, environment=environment) as grayplane:
        yield grayplane


async def watched(operator: Console, *services: str) -> set[str]:
    """Return which of these services, and of the others, the server tells anybody of."""
    names = [*services, *OTHERS]
    counts = await asyncio.gather(*map(operator.subscribers, names))
    return {name for name, count in zip(names, counts, strict=True) if count}


async def test_a_rule_for_one_of_many(grayplane: Grayplane, operator: Console) -> None:
    async with (
        Upstream("reviews", "v1") as v1,
        EnvoyProcess(grayplane.bootstrap("edge")),
        Client(grayplane.edge_port) as client,
    ):
        world = World(operator, grayplane, client, v1, v1)
        await world.register(v1)
        await world.until(404)
        assert await watched(operator, "reviews") == set()

        async def registered() -> bool:
            source = (await grayplane.ready())["source"]
            return (source["services"], source["watched"]) == (1 + len(OTHERS), 0)

        await until(registered)
        async with world.asking() as answers:
            await operator.publish("reviews.yaml", rule(0))
            await world.until("v1")
        # Never a route to nothing: the instances were read before the rule was served.
        assert answers == {404, "v1"}
        assert await watched(operator, "reviews") == {"reviews"}
        assert (await grayplane.ready())["source"]["watched"] == 1
        # Registered and not watched is another thing than not there.
        async with Client(grayplane.http_port) as http:
            found = {
                name: await http.get("localhost", f"/api/v1/services/{name}")
                for name in ("reviews", OTHERS[0], "nobody")
            }
            assert {name: answer.status for name, answer in found.items()} == {
                "reviews": 200,
                OTHERS[0]: 200,
                "nobody": 404,
            }
            assert found["reviews"].json()["instances"] == 1
            assert found[OTHERS[0]].json()["instances"] is None
            metrics = (await http.get("localhost", "/metrics")).body.decode()
        assert f'grayplane_source_services{{source="nacos"}} {1 + len(OTHERS)}.0' in metrics
        assert 'grayplane_source_watched_services{source="nacos"} 1.0' in metrics


async def test_a_rule_that_comes_before_its_service(grayplane: Grayplane, operator: Console) -> None:
    async with (
        Upstream("reviews", "v1") as v1,
        EnvoyProcess(grayplane.bootstrap("edge")),
        Client(grayplane.edge_port) as client,
    ):
        world = World(operator, grayplane, client, v1, v1)
        await operator.publish("reviews.yaml", rule(0))
        await world.until(503)
        await world.register(v1)
        await world.until("v1")


async def test_sidecars_with_and_without_upstreams(grayplane: Grayplane, operator: Console) -> None:
    restricted = grayplane.bootstrap("sidecar", upstreams=["ratings", "later"])
    unrestricted = grayplane.bootstrap("sidecar")
    unrestricted["node"]["id"] = "another"
    async with Upstream("ratings", "v1") as ratings, Upstream("later", "v1") as later:
        await operator.register("ratings", "127.0.0.1", ratings.port)
        async with EnvoyProcess(restricted), Client(grayplane.outbound_port) as client:
            # The very first answer is right: what a proxy needs is read before it is told anything.
            assert (await client.get("ratings")).status == 200
            assert await watched(operator, "ratings") == {"ratings"}
            await operator.register("later", "127.0.0.1", later.port)
            await until_answered(client, "v1", "later")
            assert (await client.get(OTHERS[0])).status == 404
            await operator.deregister("later", "127.0.0.1", later.port)
        assert await watched(operator, "ratings") == {"ratings"}
        async with EnvoyProcess(unrestricted) as envoy, Client(grayplane.outbound_port) as client:
            assert (await client.get("ratings")).status == 200
            shown = str(await envoy.config_dump())
            assert [service for service in OTHERS if f"'{service}'" not in shown] == []
            assert await watched(operator, "ratings") == {"ratings", *OTHERS}


async def test_what_nobody_needs_any_more_is_let_go(
    settings: NacosSettings, nacos: NacosServer, operator: Console
) -> None:
    await operator.register("reviews", "127.0.0.1", 1001)
    await operator.register("ratings", "127.0.0.1", 1002)
    services = WatchedServices(linger=0.5)
    services.hold("rule", Needs("", frozenset({"reviews"})))
    services.hold("view", Needs(""))
    async with recording(NacosSource(settings, watched=services)) as recorder:
        await recorder.until(lambda r: r.synced and r.instances.keys() == {"reviews", "ratings"})
        assert [await operator.subscribers(each) for each in ("reviews", "ratings")] == [1, 1]
        services.hold("view", None)
        await recorder.until(lambda r: r.instances.keys() == {"reviews"})

        async def let_go() -> bool:
            return [await operator.subscribers(each) for each in ("reviews", "ratings")] == [1, 0]

        await until(let_go)
        services.hold("view", Needs("", frozenset({"ratings"})))
        await recorder.until(lambda r: r.endpoints("ratings") == ["127.0.0.1:1002"])
        assert await operator.subscribers("ratings") == 1


@pytest.fixture
async def outage(tmp_path: Path) -> AsyncIterator[Outage]:
    async with outage_world(tmp_path) as world:
        yield world


@pytest.mark.outage
async def test_a_restart_with_a_slow_nacos_takes_nothing_from_proxies(outage: Outage) -> None:
    operator, grayplane = outage.world.operator, outage.grayplane
    async with Upstream("ratings", "v1") as ratings:
        await operator.register("ratings", "127.0.0.1", ratings.port)
        bootstrap = grayplane.bootstrap("sidecar", upstreams=["ratings"])
        async with EnvoyProcess(bootstrap), Client(grayplane.outbound_port) as client:
            await until_answered(client, "v1", "ratings")
            await grayplane.stop()
            outage.proxy.delay = 2.0
            await grayplane.launch()
            await until_serving_from(grayplane, "last known good")
            # The service has no rule, and was not read yet.
            for _ in range(50):
                assert (await client.get("ratings")).status == 200
                await asyncio.sleep(0.05)
            outage.proxy.delay = 0.0
            await until_serving_from(grayplane, "source")
            await until_answered(client, "v1", "ratings")
            assert await operator.subscribers("ratings") == 1
    await outage.world.until("v2")
