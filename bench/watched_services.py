"""A real Nacos with very many services, of which a few are needed: what it takes to begin, and to keep up.

The server is the one of the tests: GRAYPLANE_TEST_NACOS, the official image in Docker, or r-nacos.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter, process_time
from unittest import mock

from bench.scale import Scale
from bench.table import Table, number
from tests.harness.nacos import NacosServer, nacos_server
from tests.harness.nacos_console import Console, console
from tests.harness.recorder import recording
from xds.sources.nacos import NacosSource
from xds.sources.nacos.sdk import Request
from xds.sources.nacos.transport import Transport
from xds.sources.watched_services import Needs, WatchedServices

_SERVICES = 10_000
"""Of the group, at most as many as the largest size of the scale."""

_NEEDED = 10
_IN_FLIGHT = 8
_REST = 20.0
"""Seconds in which nothing happens, in full."""


def measure(scale: Scale) -> list[Table]:
    """Measure all on one server."""
    with nacos_server() as server:
        return [asyncio.run(_watched(server, scale))]


async def _watched(server: NacosServer, scale: Scale) -> Table:
    count = min(_SERVICES, scale.sizes[-1])
    rest = _REST if count == _SERVICES else 2.0
    names = [f"service-{index:05}" for index in range(count)]
    table = Table(
        "Services registered in Nacos, some of them needed",
        "the start and the load on Nacos grow with what is needed, not with what is registered",
        (
            "registered",
            "watched",
            "until all are read",
            "CPU until then",
            "requests until then",
            "longest hold of the loop",
            "CPU while nothing happens",
            "requests a second then",
        ),
    )
    async with _services(server, names) as operator:
        for needs in (Needs("", frozenset(names[:_NEEDED])), Needs("")):
            watched = WatchedServices()
            watched.hold("bench", needs)
            source = NacosSource(server.settings(operator.namespace), watched=watched)
            with _requests() as sent:
                began, worked = perf_counter(), process_time()
                async with recording(source) as recorder:
                    async with _longest_hold() as hold:
                        await recorder.until(lambda r: r.synced)
                    taken, used, asked = perf_counter() - began, process_time() - worked, len(sent)
                    held = max(hold)
                    await asyncio.sleep(1.0)  # the server pushes what it answered
                    worked, asked_then = process_time(), len(sent)
                    await asyncio.sleep(rest)
                    idle, more = (process_time() - worked) / rest, (len(sent) - asked_then) / rest
            table.rows.append(
                [
                    number(count),
                    number(source.status().watched),
                    f"{taken:.2f} s",
                    f"{used:.2f} s",
                    number(asked),
                    f"{held * 1000:.0f} ms",
                    f"{idle:.1%}",
                    f"{more:.0f}",
                ]
            )
    return table


@asynccontextmanager
async def _services(server: NacosServer, names: list[str]) -> AsyncIterator[Console]:
    async with console(server, f"bench-{uuid.uuid4().hex[:12]}") as operator:
        at_once = asyncio.Semaphore(_IN_FLIGHT)

        async def register(name: str) -> None:
            async with at_once:
                await operator.register(name, "10.0.0.1", 8080)

        await asyncio.gather(*map(register, names))
        yield operator


@contextmanager
def _requests() -> Iterator[list[str]]:
    """Count the requests that are sent to Nacos by gRPC."""
    sent: list[str] = []
    call = Transport.call

    async def counting(transport: Transport, request: Request) -> object:
        sent.append(type(request).__name__)
        return await call(transport, request)

    with mock.patch.object(Transport, "call", counting):
        yield sent


@asynccontextmanager
async def _longest_hold() -> AsyncIterator[list[float]]:
    """Measure for how long other tasks waited for their turn."""
    holds = [0.0]

    async def look() -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(0.001)
            holds.append(perf_counter() - before - 0.001)

    looking = asyncio.create_task(look())
    try:
        yield holds
    finally:
        looking.cancel()
