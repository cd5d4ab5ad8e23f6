"""Very many documents edited at once, and started on, each with a warning; and what the status costs."""

import asyncio
import tempfile
import time as clock
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench import workload
from bench.delivery import DELIVERIES
from bench.pipeline_server import pipeline
from bench.scale import Scale
from bench.table import Spread, Table, number, size, time
from xds.cache import Cache
from xds.documents import DocumentId, Origin
from xds.protocol import Acked
from xds.rules.instance import ServiceId
from xds.rules.parse import parse
from xds.rules.store import Standing
from xds.server import Peer, StreamInfo
from xds.sources.base import DocumentChanged, InstancesChanged, Synced
from xds.sources.change_buffer import ChangeBuffer
from xds.status import LogSink, Status, StatusEvent
from xds.status.events import DocumentApplied
from xds.type_urls import ROUTE
from xds.views import NodeGroup, Services
from xds.wire import Node

_TICK = 0.001
"""Seconds between two looks at how long the loop stood still."""


def measure(scale: Scale) -> list[Table]:
    """Measure bursts of edits through the pipeline, and the memory of the status."""
    return [_bursts(scale), _status(scale)]


def _bursts(scale: Scale) -> Table:
    table = Table(
        "Documents with one warning each: a start on them, then an edit of all of them at once",
        "linear, at most 2 s beyond parsing for 3,000, the loop never held over 20 ms",
        ("documents", "routes", "parsing alone", "start", "loop held", "edit of all", "loop held"),
    )
    for documents in (300, 3_000, 10_000) if scale.sizes[-1] > 1_000 else (20, 100):
        for routes in ("shared", "scoped"):
            cells = asyncio.run(_burst(documents, routes))
            table.rows.append([number(documents), routes, *(time(Spread.of([cell])) for cell in cells)])
    table.notes.append(
        "With a view of one edge group that nobody watches; the snapshot is written meanwhile."
    )
    return table


async def _burst(documents: int, routes: str) -> list[float]:
    began = clock.perf_counter()
    for index in range(documents):
        parse(workload.document(index), _text(index, 1))
    parsing = clock.perf_counter() - began
    buffer = ChangeBuffer()
    delivery = DELIVERIES[routes]
    services = Services(Cache(), delivery.listeners(10000))
    services.view_of(delivery.group, now=0.0)
    synced, applied = asyncio.Event(), asyncio.Event()

    def sink(event: StatusEvent) -> None:
        if isinstance(event, DocumentApplied) and event.document == _document(documents - 1):
            applied.set()

    status = Status([LogSink(), sink], services.groups_of)
    with tempfile.TemporaryDirectory() as directory:
        async with pipeline(services, status, buffer, Path(directory, "state.sqlite"), synced.set):
            async with _watched() as held_at_start:
                for index in range(documents):
                    buffer.put(InstancesChanged(_service(index), workload.instances(index)))
                    buffer.put(DocumentChanged(_document(index), _text(index, 0)))
                buffer.put(Synced())
                began = clock.perf_counter()
                await synced.wait()
                start = clock.perf_counter() - began
            applied.clear()
            async with _watched() as held:
                began = clock.perf_counter()
                for index in range(documents):
                    buffer.put(DocumentChanged(_document(index), _text(index, 1)))
                await applied.wait()
                edit = clock.perf_counter() - began
    return [parsing, start, held_at_start[0], edit, held[0]]


@asynccontextmanager
async def _watched() -> AsyncIterator[list[float]]:
    """Measure the longest time that the loop is held within a block."""
    longest = [0.0]

    async def watch() -> None:
        while True:
            before = clock.perf_counter()
            await asyncio.sleep(_TICK)
            longest[0] = max(longest[0], clock.perf_counter() - before - _TICK)

    task = asyncio.create_task(watch())
    try:
        yield longest
    finally:
        task.cancel()


def _text(index: int, edit: int) -> bytes:
    """Write a document whose last rule is never reached: that is the warning."""
    more = b"  - {name: never, route: [{subset: stable}]}\n"
    return workload.text(index, edit) + b"  - {name: all, route: [{subset: gray}]}\n" + more


def _service(index: int) -> ServiceId:
    return ServiceId("", workload.service(index))


def _document(index: int) -> DocumentId:
    return DocumentId("", workload.document(index))


def _status(scale: Scale) -> Table:
    table = Table(
        "The status of documents and nodes",
        "grows with documents plus nodes, never with their product",
        ("documents", "nodes", "memory", "all documents change", "all nodes answer", "one status"),
    )
    for count in (1_000, 10_000) if scale.sizes[-1] > 1_000 else (100,):
        table.rows.append([number(count), number(count), *_status_cells(count)])
    return table


def _status_cells(count: int) -> list[str]:
    group = DELIVERIES["shared"].group
    tracemalloc.start()
    status = Status([], lambda _: [group])
    services = {_service(index): {Origin(_document(index), "r1")} for index in range(count)}
    before = tracemalloc.get_traced_memory()[0]
    standings = {_document(index): Standing("r1", "r1", waits=False) for index in range(count)}
    status.documents_changed({}, standings)
    for service, origins in services.items():
        status.compiled(service, (), origins)
    peer = Peer("ipv4:127.0.0.1:1")
    streams = [StreamInfo(Node(f"edge-{index}", workload.GROUP), peer, "ADS") for index in range(count)]
    for stream in streams:
        status.opened(stream)
        status.in_step(stream, 1, frozenset())
    began = clock.perf_counter()
    status.view_changed(group, 2, services)
    changed = clock.perf_counter() - began
    memory = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return [size(memory), *_timed(status, group, streams, changed)]


def _timed(status: Status, group: NodeGroup, streams: list[StreamInfo], changed: float) -> list[str]:
    began = clock.perf_counter()
    for stream in streams[1:]:
        status.answered(stream, Acked(ROUTE, {}))
        status.in_step(stream, 2, frozenset())
    answered = clock.perf_counter() - began
    found = status.document(_document(0))
    assert found
    assert found.proxies.programmed == len(streams) - 1, group
    began = clock.perf_counter()
    status.document(_document(1))
    one = clock.perf_counter() - began
    return [time(Spread.of([cell])) for cell in (changed, answered, one)]
