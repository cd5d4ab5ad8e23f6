"""Writing behind the event loop."""

import asyncio
from pathlib import Path

import structlog

from xds.cache import Resource
from xds.lastgood import Keeper, Kept, LastGood, Store


def change(name: str, body: bytes | None) -> LastGood[Resource]:
    kept = None if body is None else Kept("inputs", Resource.of("type", name, body))
    return LastGood(services={name: kept})


async def test_changes_are_merged_and_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "kept.sqlite", Resource)
    keeper = Keeper(store)
    keeper.keep(change("a", b"1"))
    keeper.keep(change("a", b"2"))
    keeper.keep(change("b", b"1"))
    keeper.keep(change("b", None))
    await keeper.flush()
    read = store.load()
    assert {name: kept.service.body for name, kept in read.services.items() if kept} == {"a": b"2"}


async def test_it_writes_by_itself_while_it_runs(tmp_path: Path) -> None:
    store = Store(tmp_path / "kept.sqlite", Resource)
    keeper = Keeper(store)
    running = asyncio.create_task(keeper.run())
    keeper.keep(change("a", b"1"))
    async with asyncio.timeout(60):
        while not (await keeper.load()).services:
            await asyncio.sleep(0.01)
    running.cancel()


async def test_a_disk_that_fails_is_a_warning_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    path.mkdir()
    keeper = Keeper(Store(path, Resource))
    with structlog.testing.capture_logs() as logs:
        keeper.keep(change("a", b"old"))
        await keeper.flush()
        keeper.keep(change("b", b"1"))
        await keeper.flush()
        keeper.keep(change("a", b"new"))
    assert [entry["log_level"] for entry in logs] == ["warning"], "said once"
    path.rmdir()
    await keeper.flush()
    read = Store(path, Resource).load()
    assert {name: kept.service.body for name, kept in read.services.items() if kept} == {
        "a": b"new",
        "b": b"1",
    }
