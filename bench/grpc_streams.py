"""What gRPC clients without a proxy hold open for a target: a connection, discovery, load reporting."""

import asyncio
import sys
from contextlib import AsyncExitStack
from time import perf_counter

import grpc.aio
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryRequest
from envoy_data_plane.envoy.service.load_stats.v3 import LoadStatsRequest

from bench import workload
from bench.processes import Server, running
from bench.scale import Scale
from bench.table import Table, number, size
from xds.type_urls import LISTENER
from xds.wire import encode

_DISCOVERY = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_LOAD = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"
_TARGETS_PER_POD = 20
_SETTLED = 2.0
"""Seconds after which what connecting took has been given back, as far as it is."""
_AT_ONCE = 50
_MANY = 20_000
"""Targets of 1,000 pods."""


def measure(scale: Scale) -> list[Table]:
    """Measure memory and CPU of Grayplane."""
    targets = scale.streams[-1]
    table = Table(
        f"gRPC clients: {number(targets)} targets, each with a connection of its own as in Go and Java",
        f"{number(_MANY)} targets in 4 GB",
        (
            "streams a target",
            "memory a target",
            "CPU to connect",
            f"worked out for {number(_MANY)}: memory",
            "CPU",
        ),
    )
    for name, reporting in (("discovery", False), ("discovery, load reporting", True)):
        with running([sys.executable, "-m", "bench.load_server", "0"]) as server:
            memory, cpu = asyncio.run(_connected(server, targets, reporting=reporting))
        table.rows.append(
            [
                name,
                size(memory),
                f"{cpu * 1e3:.2f} ms",
                size(memory * _MANY),
                f"{cpu * _MANY:.0f} s",
            ]
        )
    table.notes.append(
        "A load reporting stream of which nothing is wanted is not answered. CPU is Grayplane's, with"
        " its first answers."
    )
    return [table]


async def _connected(server: Server, targets: int, *, reporting: bool) -> tuple[float, float]:
    """Connect so many targets; return memory and CPU of each."""
    await asyncio.sleep(_SETTLED)
    memory, cpu = server.memory, server.cpu
    async with AsyncExitStack() as stack:
        limit = asyncio.Semaphore(_AT_ONCE)
        began = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for target in range(targets):
                tasks.create_task(_connect(stack, limit, server.xds, target, reporting=reporting))
        await asyncio.sleep(max(_SETTLED, perf_counter() - began))
        return (server.memory - memory) / targets, (server.cpu - cpu) / targets


async def _connect(
    stack: AsyncExitStack, limit: asyncio.Semaphore, port: int, target: int, *, reporting: bool
) -> None:
    node = Node(id=f"pod-{target // _TARGETS_PER_POD}", user_agent_name="gRPC Go")
    name = workload.service(0)
    async with limit:
        options = (("grpc.use_local_subchannel_pool", 1),)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options)
        await stack.enter_async_context(channel)
        discovery: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(_DISCOVERY)()
        first = DiscoveryRequest(node=node, type_url=LISTENER, resource_names=[name])
        await discovery.write(encode(first))
        await discovery.read()
        if reporting:
            load: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(_LOAD)()
            await load.write(encode(LoadStatsRequest(node=node)))
            stack.callback(load.cancel)
        stack.callback(discovery.cancel)
