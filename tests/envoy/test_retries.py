"""What an instance costs that goes away: nobody's request, and nothing done twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.envoy.static import LISTENER, bootstrap, document, virtual_host
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_port


@asynccontextmanager
async def edge(*ports: int) -> AsyncIterator[tuple[EnvoyProcess, Client]]:
    """Run an Envoy whose baseline has instances on these ports; yields it and a client of it."""
    hosts = [virtual_host(document(), "svc.test")]
    async with (
        EnvoyProcess(bootstrap(hosts, {"svc|base": ports})) as envoy,
        Client(await envoy.port(LISTENER)) as client,
    ):
        yield envoy, client


async def test_an_instance_that_refuses_connections_costs_nobody_a_request() -> None:
    async with Upstream("svc", "base") as upstream, edge(upstream.port, free_port()) as (_, client):
        for _ in range(30):
            assert (await client.request("POST", "svc.test", body=b"order")).status == 200


async def test_an_instance_that_stops_costs_nobody_a_request() -> None:
    async with (
        Upstream("svc", "base") as one,
        Upstream("svc", "base") as other,
        edge(one.port, other.port) as (envoy, client),
    ):
        while not (one.requests and other.requests):
            assert (await client.get("svc.test")).status == 200
        await other.stop()
        # A request that is under way on a connection as it breaks may have been seen, and is not sent again.
        await until(lambda: _is_left_with_one_connection(envoy))
        for _ in range(30):
            assert (await client.get("svc.test")).status == 200


async def _is_left_with_one_connection(envoy: EnvoyProcess) -> bool:
    stats = await envoy.stats("cluster.svc.base.upstream_cx_active")
    return sum(stats.values()) <= 1


async def test_a_request_that_was_taken_is_never_sent_again() -> None:
    taken = 0

    async def take_and_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"order")
        taken += 1
        writer.transport.abort()

    server = await asyncio.start_server(take_and_die, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Upstream("svc", "base") as upstream, edge(port, upstream.port) as (_, client):
        for count in range(1, 21):
            await client.request("POST", "svc.test", body=b"order")
            assert taken + upstream.requests == count
    assert taken
