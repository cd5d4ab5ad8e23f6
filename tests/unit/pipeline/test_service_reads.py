"""What waits for services that the source has not read yet, and what does not."""

import asyncio
from pathlib import Path

import pytest

from tests.unit.pipeline.test_pipeline import World, running
from xds.documents import DocumentId
from xds.pipeline import service_reads
from xds.rules.instance import Instance, ServiceId
from xds.sources.base import DocumentChanged, InstancesChanged, InstancesUnreadable, Synced
from xds.sources.watched_services import Needs, WatchedServices
from xds.status import DocumentState

A, B = ServiceId("", "a"), ServiceId("", "b")
SUBSETS = "{gray: {labels: {version: v2}}}"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept.sqlite"


@pytest.fixture
def watched() -> WatchedServices:
    return followed()


def followed() -> WatchedServices:
    """What is watched, with a source that the tests stand for."""
    watched = WatchedServices(linger=0.0)
    watched.follow("", lambda _: None)
    return watched


def read(world: World, service: ServiceId, *ports: int) -> None:
    instances = tuple(Instance("127.0.0.1", port) for port in ports)
    world.buffer.put(InstancesChanged(service, instances))


def state(world: World, document: str) -> DocumentState | None:
    status = world.status.document(DocumentId("", document))
    return status.state if status else None


def let_go(world: World, service: ServiceId) -> None:
    world.buffer.put(InstancesChanged(service, None, complete=False))


async def a_while() -> None:
    await asyncio.sleep(0.1)


async def started(world: World) -> None:
    world.buffer.put(Synced())
    await world.until(lambda: world.pipeline.in_step)


async def test_a_start_waits_for_the_services_of_rules(kept: Path, watched: WatchedServices) -> None:
    async with running(kept, watched=watched) as world:
        world.write("a.yaml", "a.example.com")
        world.write("b.yaml", "b.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: A in watched and B in watched)
        read(world, A, 80)
        world.write("c.yaml", "c.example.com")  # one more document while it waits
        await a_while()
        assert not world.opened
        world.buffer.put(InstancesUnreadable(B))
        world.buffer.put(InstancesChanged(ServiceId("", "c"), None))
        await world.until(lambda: world.opened)
        assert world.hosts() == ["a.example.com", "b.example.com", "c.example.com"]
        assert world.ports("a") == [80]


async def test_a_rule_waits_for_its_service(kept: Path, watched: WatchedServices) -> None:
    async with running(kept, watched=watched) as world:
        await started(world)
        world.write("a.yaml", "a.example.com")
        world.write("b.yaml", "b.example.com")
        await world.until(lambda: B in watched)
        read(world, B, 1)
        await world.until(lambda: world.hosts() == ["b.example.com"])
        assert state(world, "a.yaml") is DocumentState.PROGRAMMING
        world.write("a.yaml", "a.example.com", "www.example.com")
        await a_while()
        assert world.hosts() == ["b.example.com"]
        read(world, A, 2)
        await world.until(lambda: len(world.hosts()) == 3)
        assert world.ports("a") == [2]
        assert state(world, "a.yaml") is DocumentState.PROGRAMMED
        # A service that was read is known from then on.
        world.write("a.yaml", "a.example.com")
        await world.until(lambda: len(world.hosts()) == 2)


async def test_a_rule_does_not_wait_for_long(
    kept: Path, watched: WatchedServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_reads, "_LONGEST_FOR_RULES", 0.2)
    async with running(kept, watched=watched) as world:
        await started(world)
        world.write("a.yaml", "a.example.com")
        await world.until(lambda: world.hosts() == ["a.example.com"])
        assert world.ports("a") == []
        world.write("a.yaml", "www.example.com")
        await world.until(lambda: world.hosts() == ["www.example.com"])
        read(world, A, 1)
        await world.until(lambda: world.ports("a") == [1])


async def test_a_rule_that_is_taken_back_while_it_waits(kept: Path, watched: WatchedServices) -> None:
    async with running(kept, watched=watched) as world:
        await started(world)
        world.write("a.yaml", "a.example.com")
        await world.until(lambda: A in watched)
        world.buffer.put(DocumentChanged(DocumentId("", "a.yaml"), None))
        await world.until(lambda: state(world, "a.yaml") is None)
        watched.expire()
        assert A not in watched
        let_go(world, A)
        await a_while()
        assert (world.hosts(), world.services.get(A)) == ([], None)


async def test_what_is_let_go_is_forgotten(kept: Path, watched: WatchedServices) -> None:
    async with running(kept, watched=watched) as world:
        await started(world)
        world.pipeline.reads.hold("view", Needs("", frozenset({"a"})))
        read(world, A, 1)
        await world.until(lambda: world.services.get(A))
        assert world.pipeline.is_watched(A)
        world.pipeline.reads.hold("view", None)
        watched.list("", "G", {"a"})
        watched.expire()
        let_go(world, A)
        await world.until(lambda: world.services.get(A) is None)
        assert not world.pipeline.is_watched(A)
        assert (A in world.pipeline.services, A in world.pipeline.known_services) == (False, True)
        assert world.pipeline.exists(A)
        await world.snapshot.flush()
    async with running(kept, watched=WatchedServices()) as world:
        await started(world)
        assert world.services.get(A) is None


async def test_a_restart_serves_what_was_served_until_it_is_read(
    kept: Path, watched: WatchedServices
) -> None:
    async with running(kept, watched=watched) as world:
        world.pipeline.reads.hold("view", Needs("", frozenset({"a", "b"})))
        read(world, A, 1)
        read(world, B, 2)
        await started(world)
    watched = followed()
    async with running(kept, watched=watched) as world:
        world.buffer.put(Synced())
        await world.until(lambda: A in watched and B in watched and world.opened)
        assert not world.pipeline.in_step  # the snapshot is served
        world.buffer.put(InstancesUnreadable(A))
        read(world, B, 3)
        await world.until(lambda: world.pipeline.in_step)
        assert world.services.get(A)  # nobody knows what became of it
        await world.pipeline.reads.available(Needs("", frozenset({"a", "b"})), within=60.0)
        read(world, A, 4)
        await world.until(lambda: world.pipeline.is_watched(A))
        watched.expire()
        assert A not in watched  # since no proxy came back that needs it


async def test_a_view_waits_for_what_its_nodes_see(kept: Path, watched: WatchedServices) -> None:
    async with running(kept, watched=watched) as world:
        reads = world.pipeline.reads
        await started(world)
        await reads.available(None)
        await reads.available(Needs("", frozenset()))
        await reads.available(Needs("no-such-namespace"))
        await reads.available(Needs("no-such-namespace", frozenset({"a"})), within=60.0)
        view = asyncio.create_task(reads.available(Needs("", frozenset({"a", "b"})), within=60.0))
        await world.until(lambda: A in watched and B in watched)
        read(world, A, 1)
        await world.until(lambda: world.services.get(A))
        assert not view.done()
        world.buffer.put(InstancesChanged(B, None))  # nor is there to be anything of it
        await view
        read(world, A, 1)
        await reads.available(Needs("", frozenset({"a"})), within=60.0)
        # Nobody waits for ever.
        await reads.available(Needs("", frozenset({"c"})), within=0.05)
        watched.expire()
        assert watched.names("") == set()


async def test_a_view_of_all_services_waits_for_those_that_are_registered(
    kept: Path, watched: WatchedServices
) -> None:
    async with running(kept, watched=watched) as world:
        await started(world)
        await world.pipeline.reads.available(Needs(""), within=60.0)  # none is known yet
        watched.list("", "G", {"a", "b"})
        view = asyncio.create_task(world.pipeline.reads.available(Needs(""), within=60.0))
        await world.until(lambda: watched.everything(""))
        read(world, A, 1)
        await world.until(lambda: world.services.get(A))
        assert not view.done()
        read(world, B)
        await view


async def test_a_check_reads_the_instances_first(kept: Path, watched: WatchedServices) -> None:
    async with running(kept, watched=watched) as world:
        await started(world)
        text = f"hosts: [a.example.com]\nsubsets: {SUBSETS}\nbaseline: gray\n".encode()
        check = asyncio.create_task(world.pipeline.check(DocumentId("", "a.yaml"), text))
        await world.until(lambda: A in watched)
        world.buffer.put(InstancesChanged(A, (Instance("127.0.0.1", 1, metadata={"version": "v2"}),)))
        _, found = await check
        assert found == ()
