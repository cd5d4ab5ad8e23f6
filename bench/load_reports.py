"""What load reports cost, Grayplane and Envoy, by how many clusters are reported."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import psutil
from envoy_data_plane.envoy.config.core.v3 import Locality
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterStats, UpstreamLocalityStats
from envoy_data_plane.envoy.service.load_stats.v3 import LoadStatsRequest, LoadStatsResponse

from bench import workload
from bench.load_server import clusters
from bench.processes import BenchError, running
from bench.scale import Scale
from bench.table import Table, number, size
from tests.harness.envoy import EnvoyProcess
from xds.wire import encode

_SERVICE = "envoy.service.load_stats.v3.LoadReportingService"
_METHOD = f"/{_SERVICE}/StreamLoadStats"
_INTERVAL = 5.0
"""Seconds between reports, unless an operator sets it otherwise (``rollouts.report_interval``)."""
_REPORTED = 1.0
"""Seconds between reports while Envoy is measured."""
_SETTLED = 5.0
"""Seconds after which Envoy has done what its start left to be done, and reports."""
_CLUSTERS_SENT = 20_000
"""In all reports of a stream together, at least: so that there is something to measure."""
_Options = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))


def measure(scale: Scale) -> list[Table]:
    """Measure both sides."""
    node, envoy = asyncio.run(_envoy(scale))
    return [_grayplane(scale, node), envoy]


def _grayplane(scale: Scale, node: bytes) -> Table:
    proxies = scale.streams[0]
    table = Table(
        f"Load reports: Grayplane's CPU, {proxies} proxies on a connection each",
        "with 100 proxies at most 5 % of a core for the rollouts that run at a time",
        (
            "services under analysis",
            "clusters reported",
            "bytes a report",
            "CPU a report",
            "of a core: 100 proxies",
            "1,000 proxies",
        ),
    )
    for services in sorted({1, 10, *scale.sizes}):
        report = node + encode(LoadStatsRequest(cluster_stats=list(_stats(services))))
        reports = max(2, min(200, _CLUSTERS_SENT // (2 * services)))
        with running([sys.executable, "-m", "bench.load_server", str(services)]) as server:
            before = server.cpu
            asyncio.run(_report(server.xds, node, report, proxies=proxies, reports=reports))
            cpu = (server.cpu - before) / (reports * proxies)
        table.rows.append(
            [
                number(services),
                number(2 * services),
                size(len(report)),
                f"{cpu * 1e3:.2f} ms",
                *(f"{100 * cpu * many / _INTERVAL:.1f} %" for many in (100, 1000)),
            ]
        )
    table.notes.append(
        f"Reports as a real Envoy sends them, each with its whole node ({size(len(node))}), as fast as they"
        f" are read; shares of a core are worked out for a report every {_INTERVAL:g} s."
    )
    return table


def _stats(services: int) -> Iterator[ClusterStats]:
    for service in range(services):
        for cluster in clusters(service):
            load = UpstreamLocalityStats(
                locality=Locality(),
                total_successful_requests=1_000,
                total_error_requests=3,
                total_issued_requests=1_004,
            )
            yield ClusterStats(
                cluster_name=cluster,
                upstream_locality_stats=[load],
                load_report_interval=timedelta(seconds=5, microseconds=1234),
            )


async def _report(port: int, node: bytes, report: bytes, *, proxies: int, reports: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(proxies):
            tasks.create_task(_stream(port, node, report, reports))


async def _stream(port: int, node: bytes, report: bytes, reports: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_Options) as channel:
        stream: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(_METHOD)()
        await stream.write(node)
        await stream.read()
        for _ in range(reports):
            await stream.write(report)
        await stream.done_writing()
        # It ends when all has been read.
        if (code := await stream.code()) is not grpc.StatusCode.OK:
            raise BenchError(f"a stream of load reports ended with {code}: {await stream.details()}")


async def _envoy(scale: Scale) -> tuple[bytes, Table]:
    """Measure one real Envoy. Return its first request, too, which is its node alone."""
    table = Table(
        "Load reports: what a report costs Envoy",
        "what is asked for, and not what there is",
        ("clusters it has", "clusters asked for", "bytes a report", "CPU a report"),
    )
    first = b""
    for services in scale.sizes:
        there = [cluster for number in range(services) for cluster in clusters(number)]
        idle = None
        for asked in ((), there[:2], there):
            async with _server(asked) as (port, received), EnvoyProcess(_bootstrap(port, there)) as envoy:
                first, size_of, cpu = await _measured(scale, envoy, received)
            if idle is None:
                idle = cpu  # of each second; the rest of what Envoy does by the second
                continue
            more = max(0.0, cpu - idle)
            table.rows.append([number(len(there)), number(len(asked)), size(size_of), f"{more * 1e3:.1f} ms"])
    table.notes.append(
        "CPU is of all threads, less what an Envoy of which nothing is asked needs in that time."
    )
    return first, table


async def _measured(scale: Scale, envoy: EnvoyProcess, received: list[bytes]) -> tuple[bytes, int, float]:
    """Return the first request, the size of the last one, and Envoy's CPU in a second."""
    await asyncio.sleep(_SETTLED)
    if not received:
        raise BenchError(f"Envoy opened no stream of load reports within {_SETTLED:g} s")
    process, seconds = psutil.Process(envoy.pid), float(max(3, scale.runs // 2))
    before = process.cpu_times()
    await asyncio.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return received[0], len(received[-1]), used / seconds * _REPORTED


@asynccontextmanager
async def _server(asked: Collection[str]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve load reporting for one proxy: keep the first request and the last."""
    received: list[bytes] = []
    answer = encode(
        LoadStatsResponse(clusters=list(asked), load_reporting_interval=timedelta(seconds=_REPORTED))
    )

    async def serve(_: Any, context: Any) -> None:
        received.append(await context.read())
        if asked:
            await context.write(answer)
        while isinstance(report := await context.read(), bytes):
            received[1:] = [report]

    server = grpc.aio.server(options=_Options)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(serve)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {"StreamLoadStats": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port, received
    await server.stop(0)


def _bootstrap(port: int, names: Collection[str]) -> dict[str, Any]:
    grayplane = _cluster("grayplane", port) | {
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    }
    service = {"envoy_grpc": {"cluster_name": "grayplane"}}
    return {
        "node": {"id": "edge-1", "cluster": workload.GROUP},
        "cluster_manager": {
            "load_stats_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [service],
            }
        },
        "static_resources": {"clusters": [grayplane, *(_cluster(name, 9) for name in names)]},
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }
