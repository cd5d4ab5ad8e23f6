"""What sources report, on its way to the views, and what people are told of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

from xds.cache import Cache, Ref
from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.documents import DocumentId
from xds.pipeline import CompilationSettings, Pipeline, start
from xds.rules.instance import Instance, ServiceId
from xds.snapshot import SnapshotStore, SnapshotWriter
from xds.sources.base import DocumentChanged, InstancesChanged, Synced, Trouble
from xds.sources.change_buffer import ChangeBuffer
from xds.sources.watched_services import WatchedServices
from xds.status import LogSink, Status
from xds.type_urls import ENDPOINT, ROUTE
from xds.views import CompiledService, EdgeGroup, ListenerSettings, Services


class World:
    """A pipeline whose source is the test."""

    def __init__(
        self,
        kept: Path,
        naming_groups: tuple[str, ...] | None = None,
        watched: WatchedServices | None = None,
    ) -> None:
        self.buffer = ChangeBuffer()
        self.services = Services(
            Cache(),
            ListenerSettings(
                lambda _: EdgeListener("127.0.0.1", 1), lambda _: SidecarListeners("127.0.0.1", 1, 2)
            ),
        )
        self.snapshot = SnapshotWriter(SnapshotStore(kept, CompiledService))
        self.status = Status([LogSink()], self.services.groups_of)
        self.opened = 0
        self.pipeline = Pipeline(
            self.buffer,
            self.services,
            self.snapshot,
            self.status,
            self._open,
            settings=CompilationSettings(naming_groups=naming_groups),
            watched=watched,
        )

    def _open(self) -> None:
        self.opened += 1

    def write(self, document: str, *hosts: str, **more: Any) -> None:
        fields = {"hosts": list(hosts), **more}
        text = "\n".join(f"{key}: {value}" for key, value in fields.items())
        self.buffer.put(DocumentChanged(DocumentId("", document), text.encode()))

    def hosts(self) -> list[str]:
        """Return the hosts that an edge is served."""
        resource = self.services.view_of(EdgeGroup("edge"), now=0.0).filled().get(Ref(ROUTE, "edge"))
        assert resource
        found = RouteConfiguration.parse(resource.body).virtual_hosts
        return sorted(domain for host in found for domain in host.domains)

    def ports(self, service: str) -> list[int]:
        """Return the ports of the instances that an edge is served."""
        resource = self.services.view_of(EdgeGroup("edge"), now=0.0).filled().get(Ref(ENDPOINT, service))
        assert resource
        assignment = ClusterLoadAssignment.parse(resource.body).to_dict()
        instances = [each for zone in assignment.get("endpoints", ()) for each in zone["lbEndpoints"]]
        return sorted(each["endpoint"]["address"]["socketAddress"]["portValue"] for each in instances)

    def register(self, service: str, **groups: int) -> None:
        """Have a service registered in groups, the preferred first, with an instance on a port in each."""
        there = {group: (Instance("127.0.0.1", port),) for group, port in groups.items()}
        preferred = next(iter(there.values()), None)
        self.buffer.put(InstancesChanged(ServiceId("", service), preferred, there))

    def problems(self, document: str) -> list[str]:
        """Return what is told of a document."""
        status = self.status.document(DocumentId("", document))
        return [problem.message for problem in status.problems] if status else []

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.01)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept.sqlite"


@asynccontextmanager
async def running(
    kept: Path, naming_groups: tuple[str, ...] | None = None, watched: WatchedServices | None = None
) -> AsyncIterator[World]:
    world = World(kept, naming_groups, watched)
    task = asyncio.create_task(world.pipeline.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await world.snapshot.flush()


async def keep_one(kept: Path) -> None:
    """Run until there is a last known good: a document for the service ``a``."""
    async with running(kept) as world:
        world.write("a.yaml", "a.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: world.pipeline.in_step)


async def test_nothing_is_served_before_everything_was_reported(kept: Path) -> None:
    async with running(kept) as world:
        world.write("a.yaml", "a.example.com")
        await asyncio.sleep(0.05)
        assert world.opened == 0
        world.buffer.put(InstancesChanged(ServiceId("", "a"), (Instance("127.0.0.1", 80),)))
        world.buffer.put(Synced())
        await world.until(lambda: world.opened)
        assert world.hosts() == ["a.example.com"]
        assert world.services.view_of(EdgeGroup("edge"), now=0.0).filled().get(Ref(ENDPOINT, "a"))


@pytest.mark.parametrize("order", [("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")])
async def test_at_first_the_order_of_arrival_decides_nothing(kept: Path, order: tuple[str, str]) -> None:
    async with running(kept) as world:
        for document in order:
            world.write(document, "same.example.com", f"only-{document[0]}.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: world.opened)
        assert world.hosts() == ["only-a.example.com", "same.example.com"]


async def test_who_was_there_before_a_restart_keeps_a_host(kept: Path) -> None:
    async with running(kept) as world:
        world.write("b.yaml", "same.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: world.hosts() == ["same.example.com"])
    async with running(kept) as world:
        world.write("a.yaml", "same.example.com", "only-a.example.com")
        world.write("b.yaml", "same.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: world.pipeline.in_step)
        assert world.hosts() == ["same.example.com"]


async def test_a_document_that_is_broken_over_a_restart_keeps_its_last_valid_text(kept: Path) -> None:
    async with running(kept) as world:
        world.write("a.yaml", "a.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: world.hosts() == ["a.example.com"])
        world.write("a.yaml", "a.example.com", enabled="[")
    async with running(kept) as world:
        world.write("a.yaml", "a.example.com", enabled="[")
        world.buffer.put(Synced())
        await world.until(lambda: world.pipeline.in_step)
        assert world.hosts() == ["a.example.com"]


async def test_without_its_source_the_last_known_good_is_served_then_the_source(kept: Path) -> None:
    async with running(kept) as world:
        world.write("a.yaml", "a.example.com")
        world.write("b.yaml", "b.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: world.pipeline.in_step)
    async with running(kept) as world:
        world.buffer.put(Trouble("down"))
        await world.until(lambda: world.opened)
        assert not world.pipeline.in_step
        assert world.hosts() == ["a.example.com", "b.example.com"]
        world.write("a.yaml", "a.example.com", "www.example.com")
        world.buffer.put(Synced())
        await world.until(lambda: world.pipeline.in_step)
        assert world.hosts() == ["a.example.com", "www.example.com"], "b was deleted meanwhile"


async def test_a_source_that_answers_in_time_is_served_without_what_it_does_not_say_any_more(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_PATIENCE", 60.0)
    await keep_one(kept)
    async with running(kept) as world:
        world.write("b.yaml", "b.example.com")
        await world.until(lambda: world.services.get(ServiceId("", "a")))
        assert not world.opened, "the source has its time, and what was kept is not served meanwhile"
        world.buffer.put(Synced())
        await world.until(lambda: world.opened)
        assert world.pipeline.in_step
        assert world.hosts() == ["b.example.com"]


async def test_what_was_kept_is_served_at_once_when_the_source_is_in_trouble(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep_one(kept)
    monkeypatch.setattr(start, "_PATIENCE", 3600.0)
    async with running(kept) as world:
        await world.until(lambda: world.services.get(ServiceId("", "a")))
        world.buffer.put(Trouble("connection refused"))
        await world.until(lambda: world.opened)
        assert world.hosts() == ["a.example.com"]


async def test_a_source_that_was_asked_long_ago_is_not_waited_for(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep_one(kept)
    monkeypatch.setattr(start, "_PATIENCE", 3600.0)
    monkeypatch.setattr(ChangeBuffer, "age", 3601.0)
    async with running(kept) as world:
        await world.until(lambda: world.opened)
        assert not world.pipeline.in_step


async def test_a_problem_is_said_once_and_its_end_too(kept: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running(kept) as world:
            world.buffer.put(Synced())
            await world.until(lambda: world.opened)
            world.write("a.yaml", "a.example.com", subset="{}")
            await world.until(lambda: [entry for entry in logs if entry["event"] == "rule problem"])
            world.buffer.put(Trouble("down"))
            world.buffer.put(Trouble("down"))
            await world.until(lambda: [entry for entry in logs if entry.get("reason") == "down"])
            world.write("a.yaml", "a.example.com")
            world.buffer.put(Trouble(None))
            await world.until(lambda: world.hosts() == ["a.example.com"])
            await world.until(lambda: [entry for entry in logs if entry["event"] == "rule document applied"])
    [problem] = [
        entry for entry in logs if entry["event"] == "rule problem" and entry["log_level"] == "error"
    ]
    assert (problem["document"], problem["line"], problem["field"]) == ("a.yaml", 2, "subset")
    assert "subsets" in problem["hint"]
    said = [entry["event"] for entry in logs]
    assert said.count("source in trouble: what it last said stays in force") == 1
    assert said.count("source is well again") == 1


async def test_a_burst_of_edits_ends_with_the_last(kept: Path) -> None:
    async with running(kept) as world:
        world.buffer.put(Synced())
        for number in range(50):
            world.write("a.yaml", f"a{number}.example.com")
            await asyncio.sleep(0)
        await world.until(lambda: world.hosts() == ["a49.example.com"])
        world.buffer.put(DocumentChanged(DocumentId("", "a.yaml"), None))
        await world.until(lambda: world.hosts() == [])


async def test_a_rule_names_the_group_that_its_instances_come_from(kept: Path) -> None:
    async with running(kept, ("FIRST", "SECOND")) as world:
        world.write("a.yaml", "a.example.com")
        world.register("a", FIRST=1, SECOND=2)
        world.buffer.put(Synced())
        await world.until(lambda: world.opened)
        assert world.ports("a") == [1]
        assert world.problems("a.yaml") == [
            "a is registered in groups FIRST, SECOND: the instances of FIRST are used"
        ]
        world.write("a.yaml", "a.example.com", group="SECOND")
        await world.until(lambda: world.ports("a") == [2])
        assert world.problems("a.yaml") == []
        assert [one.port for one in world.pipeline.instances_of(ServiceId("", "a"))] == [2]
        world.register("a", FIRST=1, SECOND=3)
        await world.until(lambda: world.ports("a") == [3])
        # It is gone from its group: another program that has its name is not used instead.
        world.register("a", FIRST=1)
        await world.until(lambda: world.ports("a") == [])
        assert world.problems("a.yaml") == ["there is no a in naming group SECOND"]
        world.register("a", SECOND=4)
        await world.until(lambda: world.ports("a") == [4])
        # A group that is not followed changes nothing.
        world.write("a.yaml", "b.example.com", group="THIRD")
        await world.until(lambda: world.status.is_rejected(DocumentId("", "a.yaml")))
        assert world.problems("a.yaml") == ['no instances are taken from naming group "THIRD"']
        world.register("a", FIRST=1, SECOND=5)
        await world.until(lambda: world.ports("a") == [5])
        assert world.hosts() == ["a.example.com"]
        world.buffer.put(DocumentChanged(DocumentId("", "a.yaml"), None))
        await world.until(lambda: not world.hosts())
        assert [one.port for one in world.pipeline.instances_of(ServiceId("", "a"))] == [1]


async def test_a_group_is_told_to_say_nothing_where_there_are_none(kept: Path) -> None:
    async with running(kept) as world:
        world.write("a.yaml", "a.example.com", group="SECOND")
        world.buffer.put(InstancesChanged(ServiceId("", "a"), (Instance("127.0.0.1", 1),)))
        world.buffer.put(Synced())
        await world.until(lambda: world.opened)
        assert world.ports("a") == [1]
        assert world.problems("a.yaml") == [
            "says nothing: instances that stand in files have no naming groups"
        ]
