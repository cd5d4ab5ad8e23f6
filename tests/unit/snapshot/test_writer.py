"""Writing behind the event loop."""

import asyncio
import weakref
from itertools import pairwise
from pathlib import Path

import structlog

from xds.cache import Ref, Resource
from xds.rules.instance import ServiceId
from xds.snapshot import SavedService, Snapshot, SnapshotStore, SnapshotWriter


def change(name: str, body: bytes | None) -> Snapshot[Resource]:
    kept = None if body is None else SavedService("inputs", Resource.of("type", name, body))
    return Snapshot(services={ServiceId("", name): kept})


async def test_changes_are_merged_and_written(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "kept.sqlite", Resource)
    writer = SnapshotWriter(store)
    writer.keep(change("a", b"1"))
    writer.keep(change("a", b"2"))
    writer.keep(change("b", b"1"))
    writer.keep(change("b", None))
    await writer.flush()
    read = store.load()
    assert {service.name: kept.service.body for service, kept in read.services.items() if kept} == {"a": b"2"}


async def test_it_writes_by_itself_while_it_runs(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "kept.sqlite", Resource)
    writer = SnapshotWriter(store)
    running = asyncio.create_task(writer.run())
    writer.keep(change("a", b"1"))
    async with asyncio.timeout(60):
        while not (await writer.load()).services:
            await asyncio.sleep(0.01)
    running.cancel()


async def test_a_disk_that_fails_is_a_warning_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    path.mkdir()
    writer = SnapshotWriter(SnapshotStore(path, Resource))
    with structlog.testing.capture_logs() as logs:
        writer.keep(change("a", b"old"))
        await writer.flush()
        writer.keep(change("b", b"1"))
        await writer.flush()
        writer.keep(change("a", b"new"))
    assert [entry["log_level"] for entry in logs] == ["warning"], "said once"
    assert "state_dir" in logs[0]["hint"]
    assert writer.trouble is not None
    assert "state_dir" in writer.trouble
    path.rmdir()
    await writer.flush()
    assert writer.trouble is None
    read = SnapshotStore(path, Resource).load()
    assert {service.name: kept.service.body for service, kept in read.services.items() if kept} == {
        "a": b"new",
        "b": b"1",
    }


async def test_what_was_written_is_let_go_in_parts(tmp_path: Path) -> None:
    writer = SnapshotWriter(SnapshotStore(tmp_path / "kept.sqlite", Resource))
    freed: list[None] = []
    for number in range(1_000):
        requires = frozenset({Ref("type", f"s{number}")})
        weakref.finalize(requires, freed.append, None)
        resource = Resource.of("type", "name", b"1", requires=requires)
        writer.keep(Snapshot(services={ServiceId("", f"s{number}"): SavedService("inputs", resource)}))
    del requires, resource
    flushing = asyncio.create_task(writer.flush())
    counts = [0]
    while not flushing.done():
        await asyncio.sleep(0)
        counts.append(len(freed))
    assert len(freed) == 1_000
    assert all(after - before <= 256 for before, after in pairwise(counts))
