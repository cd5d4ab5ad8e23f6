"""The runtime: stores that fail, instances that go, commands, and replicas that share a store."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.rollout.plans import document
from tests.unit.rollout.worlds import HOOKS, REVIEWS, SUCCESS, TICK, Agreeable, FakeServices, running
from xds.rollout.lease import Lease
from xds.rollout.load_tally import LoadTally
from xds.rollout.machine import Command, CommandRefusedError
from xds.rollout.observation import Counts, Latencies, Side
from xds.rollout.replica_loads import ReplicaLoads
from xds.rollout.shared import SharedReplicas
from xds.rollout.state import Phase
from xds.rollout.store import FileStore, Store, StoreConflictError, StoredText, StoreError

LEASE = 0.6
FOREVER = [{"weight": 5.0, "for": "1h"}, {"weight": 100.0}]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(TICK)


class Cut:
    """A store that can be cut off for one replica."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.off = False

    async def read(self, name: str) -> StoredText | None:
        self._check()
        return await self._store.read(name)

    async def write(self, name: str, text: str, version: str | None) -> str:
        self._check()
        return await self._store.write(name, text, version)

    def _check(self) -> None:
        if self.off:
            raise StoreError("cut off")


async def test_a_rollback_does_not_wait_for_the_store(tmp_path: Path) -> None:
    services = FakeServices(document(steps=FOREVER, analysis=SUCCESS))
    local = FileStore(tmp_path)
    store = Cut(local)
    tally = LoadTally()
    async with running(services, store, FileStore(tmp_path / "copy"), tally=tally, load=False) as rollouts:
        await until(lambda: services.weights[-1:] == [5])
        store.off = True
        tally.add(REVIEWS, Side.GRAY, "edge-1", Counts(50, 50))
        await until(lambda: services.weights[-1:] == [0])
        store.off = False
        kept: list[str] = []

        async def read() -> None:
            stored = await local.read("rollout:reviews")
            kept[:] = [stored.text if stored else ""]

        async with asyncio.timeout(20):
            while '"phase":"RolledBack"' not in "".join(kept):
                await read()
                await asyncio.sleep(TICK)
        assert rollouts.state(REVIEWS).phase is Phase.ROLLED_BACK


async def test_nothing_advances_that_cannot_be_kept(tmp_path: Path) -> None:
    services = FakeServices()
    store = Cut(FileStore(tmp_path))
    async with running(services, store, FileStore(tmp_path / "copy")):
        await until(lambda: services.weights[-1:] == [5])
        store.off = True
        await asyncio.sleep(0.3)
        assert services.weights[-1] == 5
        store.off = False
        await until(lambda: services.weights[-1:] == [100])


async def test_instances_that_are_gone_for_an_interval_roll_back(tmp_path: Path) -> None:
    services = FakeServices(document(steps=FOREVER, analysis=SUCCESS))
    store = FileStore(tmp_path)
    outside = Agreeable()
    services.document = document(steps=FOREVER, analysis={**SUCCESS, "webhooks": HOOKS})
    async with running(services, store, store, outside=outside) as rollouts:
        await until(lambda: services.weights[-1:] == [5])
        services.serving = False
        await until(lambda: services.weights[-1:] == [0])
        assert rollouts.state(REVIEWS).why == "gray has no serving instance"
        await until(lambda: "page" in {name for name, _ in outside.asked})


async def test_a_document_that_loses_its_rollout_decides_by_itself(tmp_path: Path) -> None:
    services = FakeServices(document(steps=FOREVER, analysis=SUCCESS))
    store = FileStore(tmp_path)
    async with running(services, store, store):
        await until(lambda: services.weights[-1:] == [5])
        services.document = services.document.model_copy(update={"rollout": None})
        await until(lambda: services.weights[-1:] == [None])


async def test_people_and_what_they_may_say(tmp_path: Path) -> None:
    services = FakeServices(document(steps=FOREVER, analysis=SUCCESS))
    store = FileStore(tmp_path)
    async with running(services, store, store) as rollouts:
        with pytest.raises(CommandRefusedError, match="there is no rollout of reviews"):
            await rollouts.act(REVIEWS, Command("abort", "ann"))
        await until(lambda: services.weights[-1:] == [5])
        assert rollouts.commands(REVIEWS) == ("promote", "pause", "abort")
        state = await rollouts.act(REVIEWS, Command("abort", "ann", why="no good"))
        assert (state.phase, services.weights[-1]) == (Phase.ROLLED_BACK, 0)
        assert rollouts.commands(REVIEWS) == ("retry",)
        await until(lambda: rollouts.samples(REVIEWS) or services.weights[-1] == 0)


class Replica:
    """One of several replicas on a store."""

    def __init__(self, name: str, directory: Path, shared: Store) -> None:
        self.services = FakeServices(document(steps=FOREVER, analysis=SUCCESS))
        self.store = Cut(shared)
        self.local = FileStore(directory / name)
        self.tally = LoadTally()
        clock = asyncio.get_running_loop().time
        self.lease = Lease(self.store, name, clock, lease=LEASE)
        loads = ReplicaLoads(self.store, name, self.tally, lambda: self.lease.held.replicas)
        self.replicas = SharedReplicas(self.lease, loads, 2 * TICK, clock)


async def test_one_of_two_replicas_leads_and_both_serve_the_same(tmp_path: Path) -> None:
    shared = FileStore(tmp_path / "shared")
    one, two = Replica("one", tmp_path, shared), Replica("two", tmp_path, shared)
    leading = asyncio.create_task(one.lease.run())
    await until(one.lease.leads)
    other = asyncio.create_task(two.lease.run())
    try:
        async with (
            running(one.services, one.store, one.local, one.replicas, tally=one.tally) as first,
            running(two.services, two.store, two.local, two.replicas, tally=two.tally, load=False) as second,
        ):
            await until(lambda: two.services.weights[-1:] == [5])
            assert not two.lease.leads()
            # A command at the replica that does not lead.
            await second.act(REVIEWS, Command("pause", "ann"))
            await until(lambda: first.state(REVIEWS).phase is Phase.PAUSED)
            # The leader is cut off: it stops before the other one begins.
            one.store.off = True
            await until(lambda: not one.lease.leads())
            assert not two.lease.leads()
            await until(two.lease.leads)
            await second.act(REVIEWS, Command("abort", "ann"))
            assert two.services.weights[-1] == 0
            one.store.off = False
            await until(lambda: one.services.weights[-1:] == [0])
            assert not one.lease.leads()
    finally:
        for task in (leading, other):
            task.cancel()
        await asyncio.gather(leading, other, return_exceptions=True)


async def test_a_leader_that_ends_gives_its_lease_up(tmp_path: Path) -> None:
    shared = FileStore(tmp_path / "shared")
    one, two = Replica("one", tmp_path, shared), Replica("two", tmp_path, shared)
    leading = asyncio.create_task(one.lease.run())
    await until(one.lease.leads)
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    assert not one.lease.leads()
    other = asyncio.create_task(two.lease.run())
    await until(two.lease.leads)
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_reports_reach_the_leader_whichever_replica_a_proxy_is_at(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    here, there = LoadTally(), LoadTally()
    names = ("here", "there")
    leader = ReplicaLoads(store, "here", here, lambda: names)
    other = ReplicaLoads(store, "there", there, lambda: names)
    for tally in (here, there):
        tally.watch(REVIEWS, "gray", "stable", {"reviews|gray": "gray", "reviews|stable": "stable"})
    gray = Counts(10, 1, Latencies.of([5.0] * 10))
    there.add(REVIEWS, Side.GRAY, "edge-9", gray)
    await other.share()
    await leader.collect()  # what was before it led is not of its interval
    assert here.seen(REVIEWS).gray.requests == 0
    there.add(REVIEWS, Side.GRAY, "edge-9", gray)
    there.add(REVIEWS, Side.BASELINE, "edge-9", Counts(90, 2))
    await other.share()
    await leader.collect()
    await leader.collect()
    seen = here.seen(REVIEWS)
    assert (seen.gray.requests, seen.gray.errors, seen.gray.latencies.count) == (10, 1, 10)
    assert (seen.baseline.requests, seen.baseline.errors, seen.proxies) == (90, 2, 1)


async def test_a_file_store_compares_and_sets(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "states")
    assert list(await store.names()) == []
    first = await store.write("rollout:shop/reviews", "1", None)
    with pytest.raises(StoreConflictError):
        await store.write("rollout:shop/reviews", "2", None)
    second = await store.write("rollout:shop/reviews", "2", first)
    with pytest.raises(StoreConflictError):
        await store.write("rollout:shop/reviews", "3", first)
    assert await store.read("rollout:shop/reviews") == StoredText("2", second)
    assert list(await store.names()) == ["rollout:shop/reviews"]
