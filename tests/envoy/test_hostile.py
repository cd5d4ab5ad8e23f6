"""A real Envoy is served while hostile and broken clients do their worst beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import grpc
import grpc.aio
import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest
from envoy_data_plane.envoy.service.status.v3 import (
    ClientConfigGenericXdsConfig,
    ClientStatusRequest,
    ClientStatusResponse,
    ConfigStatus,
)
from envoy_data_plane.envoy.type.matcher.v3 import NodeMatcher, StringMatcher

from tests.envoy.modes import MODES, Running, rule, running, until
from xds.cache import Resource
from xds.type_urls import CLUSTER, ENDPOINT
from xds.wire import encode

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CSDS = "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus"

Attack = Callable[["grpc.aio.StreamStreamCall[bytes, bytes]"], Awaitable[None]]


async def garbage(call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
    await call.write(b"\xff" * 1000)
    await call.read()


async def endless_names(call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
    names = [f"name-{number}" for number in range(100_000)]
    await call.write(encode(DeltaDiscoveryRequest(type_url=ENDPOINT, resource_names_subscribe=names)))
    await call.read()


async def flood(call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
    request = encode(
        DeltaDiscoveryRequest(node=Node(id="x"), type_url=CLUSTER, resource_names_subscribe=["a"])
    )
    while True:
        await call.write(request)


async def silence(call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
    await call.write(encode(DeltaDiscoveryRequest(node=Node(id="deaf"), type_url=CLUSTER)))
    await asyncio.Event().wait()


async def _repeat(port: int, attack: Attack) -> None:
    """Attack on one connection after the other, for as long as the test lasts."""
    while True:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(ADS)
            # The server ends the stream, as it should.
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await attack(method())


async def _stop(tasks: "list[asyncio.Task[None]]") -> None:
    """Cancel tasks until they hear it: gRPC's client can swallow that while the server ends the stream."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1)


async def _configs(it: Running) -> list[ClientConfigGenericXdsConfig]:
    """Ask for the status of Envoy."""
    matcher = NodeMatcher(node_id=StringMatcher(exact="proxy"))
    request = encode(ClientStatusRequest(node_matchers=[matcher]))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{it.xds_port}") as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CSDS)
        clients = ClientStatusResponse.parse(await method(request)).config
    return [each for client in clients for each in client.generic_xds_configs]


async def _standings(it: Running) -> dict[tuple[str, str], ConfigStatus]:
    return {(each.type_url, each.name): each.config_status for each in await _configs(it)}


@pytest.mark.parametrize("attack", [garbage, endless_names, flood, silence])
async def test_edits_reach_envoy_while_others_attack(attack: Attack) -> None:
    async with running(MODES["ads-delta"]) as it:
        attacking = [asyncio.create_task(_repeat(it.xds_port, attack)) for _ in range(3)]
        for number in range(10):
            it.world.set("reviews", rule(f"edit-{number}"))

            async def served(release: str = f"edit-{number}") -> bool:
                return await it.version(release=release) == "v2"

            await until(served)
        assert not any(task.done() for task in attacking)
        await _stop(attacking)
        assert it.watch.rejected == []


async def test_41_client_status_tells_what_envoy_has_and_what_it_rejected() -> None:
    async with running(MODES["ads-delta"]) as it:

        async def synced() -> bool:
            standings = await _standings(it)
            return len(standings) == 6 and set(standings.values()) == {ConfigStatus.SYNCED}

        await until(synced)  # a listener, a route configuration, two clusters and their endpoints
        good = it.world.view.resources(CLUSTER)["reviews|gray"]
        broken = encode(Cluster(name="reviews|gray", type=ClusterDiscoveryType.EDS))  # but from where?
        it.world.view.apply([Resource.of(CLUSTER, "reviews|gray", broken)])

        async def rejected() -> bool:
            return (await _standings(it))[CLUSTER, "reviews|gray"] is ConfigStatus.ERROR

        await until(rejected)
        [gray] = [each for each in await _configs(it) if each.config_status is ConfigStatus.ERROR]
        assert gray.error_state is not None
        assert "reviews|gray" in gray.error_state.details
        it.world.view.apply([good])
        await until(synced)
        assert await it.version(release="canary") == "v2"
