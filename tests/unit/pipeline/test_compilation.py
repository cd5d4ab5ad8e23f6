"""What of services is compiled: after a restart what is made from others than before, and only that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from xds.cache import Cache, Ref
from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.documents import DocumentId
from xds.pipeline import CompilationSettings, Pipeline
from xds.routing import Overrides
from xds.rules.instance import Instance, ServiceId
from xds.snapshot import SnapshotStore, SnapshotWriter
from xds.sources.base import DocumentChanged, InstancesChanged, Synced
from xds.sources.change_buffer import ChangeBuffer
from xds.status import Status
from xds.type_urls import CLUSTER, ENDPOINT, ROUTE
from xds.views import Compiled, CompiledService, EdgeGroup, ListenerSettings, ServiceInputs, Services

A = ServiceId("", "a")
EDGE = EdgeGroup("edge")
RULE = """\
hosts: [a.example.com]
subsets: {{v1: {{labels: {{version: v1}}}}, v2: {{labels: {{version: v2}}}}}}
baseline: v1
http:
  - name: staff
    match: [{{headers: {{x-user: {{in: {{list: staff}}}}}}}}]
    route: [{{subset: v2}}]
  - name: late
    match: [{{schedule: {{from: "2026-11-25T12:00:00Z"}}}}]
    route: [{{subset: v2}}]
  - name: split
    route: [{{subset: v1, weight: {stable}}}, {{subset: v2, weight: {gray}}}]
"""


def text(gray: int) -> str:
    return RULE.format(stable=100 - gray, gray=gray)


@dataclass(frozen=True)
class World:
    """What there is before a start."""

    documents: dict[str, str] = field(
        default_factory=lambda: {
            "a.yaml": text(10),
            "staff.list": "ann\nbob\n",
            "lanes.yaml": "lanes: [{name: test, subset: v2, header: x-lane}]",
        }
    )
    instances: tuple[Instance, ...] = (Instance("10.0.0.1", 80, metadata={"version": "v1"}),)
    now: datetime = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
    settings: CompilationSettings = field(default_factory=CompilationSettings)
    overrides: Overrides | None = None

    def written(self, **documents: str) -> "World":
        named = {name.replace("_", "."): content for name, content in documents.items()}
        return replace(self, documents={**self.documents, **named})


@dataclass
class Running:
    """A pipeline that is in step with a world."""

    buffer: ChangeBuffer
    services: Services
    pipeline: Pipeline

    def body(self, type_url: str, name: str) -> bytes:
        """Return the bytes of a resource that an edge is served."""
        resource = self.services.view_of(EDGE, now=0.0).filled().get(Ref(type_url, name))
        assert resource
        return resource.body

    async def until_changed(self, type_url: str, name: str, before: bytes) -> None:
        async with asyncio.timeout(60):
            while self.body(type_url, name) == before:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(kept: Path, world: World) -> AsyncIterator[Running]:
    settings = ListenerSettings(
        lambda _: EdgeListener("127.0.0.1", 1), lambda _: SidecarListeners("127.0.0.1", 1, 2)
    )
    buffer, services = ChangeBuffer(), Services(Cache(), settings)
    snapshot = SnapshotWriter(SnapshotStore(kept, CompiledService))
    opened = asyncio.Event()
    pipeline = Pipeline(
        buffer,
        services,
        snapshot,
        Status([], services.groups_of),
        opened.set,
        wall_clock=world.now.timestamp,
        settings=world.settings,
    )
    if world.overrides:
        pipeline.set_overrides(A, world.overrides)
    for name, content in world.documents.items():
        buffer.put(DocumentChanged(DocumentId("", name), content.encode()))
    buffer.put(InstancesChanged(A, world.instances))
    buffer.put(Synced())
    task = asyncio.create_task(pipeline.run())
    try:
        async with asyncio.timeout(60):
            await opened.wait()
            while not pipeline.in_step:
                await asyncio.sleep(0.01)
        yield Running(buffer, services, pipeline)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await snapshot.flush()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[ServiceId]:
    """The services that are compiled, in order."""
    services: list[ServiceId] = []
    of = CompiledService.of

    def noted(inputs: ServiceInputs, earlier: Compiled | None = None) -> CompiledService:
        services.append(inputs.service)
        return of(inputs, earlier)

    monkeypatch.setattr(CompiledService, "of", noted)
    return services


BEFORE = World()


@pytest.mark.parametrize(
    ("after", "again"),
    [
        (BEFORE, []),
        (replace(BEFORE, now=datetime(2026, 11, 25, 11, 59, tzinfo=UTC)), []),
        (replace(BEFORE, now=datetime(2026, 11, 25, 12, 0, tzinfo=UTC)), [A]),
        (BEFORE.written(a_yaml=text(20)), [A]),
        (BEFORE.written(staff_list="ann\n"), [A]),
        (BEFORE.written(lanes_yaml="lanes: [{name: test, subset: v2, header: x-other}]"), [A]),
        (replace(BEFORE, instances=(Instance("10.0.0.2", 80),)), [A]),
        (replace(BEFORE, overrides=Overrides({"split": {"v1": 1, "v2": 99}})), [A]),
        (replace(BEFORE, overrides=Overrides(measured=True)), [A]),
        (replace(BEFORE, settings=CompilationSettings(region_header="x-place")), [A]),
        (replace(BEFORE, settings=CompilationSettings(bucket_by="x-user")), [A]),
        (replace(BEFORE, settings=CompilationSettings(aliases_of=lambda name: (f"{name}.svc",))), [A]),
    ],
    ids=[
        "same",
        "sooner",
        "later",
        "rule",
        "list",
        "lanes",
        "instances",
        "weights",
        "measured",
        "region_header",
        "bucket_by",
        "aliases",
    ],
)
async def test_a_restart_compiles_what_is_made_from_others(
    tmp_path: Path, compiled: list[ServiceId], after: World, again: list[ServiceId]
) -> None:
    kept = tmp_path / "kept.sqlite"
    async with running(kept, BEFORE):
        assert compiled == [A]
    compiled.clear()
    async with running(kept, after):
        assert compiled == again


async def test_an_edit_of_weights_compiles_no_cluster_and_other_instances_no_route(tmp_path: Path) -> None:
    async with running(tmp_path / "kept.sqlite", BEFORE) as world:
        upstreams = [world.body(CLUSTER, "a|v1"), world.body(ENDPOINT, "a|v1")]
        routes = world.body(ROUTE, "edge")
        world.buffer.put(DocumentChanged(DocumentId("", "a.yaml"), text(20).encode()))
        await world.until_changed(ROUTE, "edge", routes)
        assert upstreams[0] is world.body(CLUSTER, "a|v1")
        assert upstreams[1] is world.body(ENDPOINT, "a|v1")
        host = world.services.get(A)
        world.buffer.put(InstancesChanged(A, (Instance("10.0.0.2", 80, metadata={"version": "v1"}),)))
        await world.until_changed(ENDPOINT, "a|v1", upstreams[1])
        now = world.services.get(A)
        assert host
        assert now
        assert host.mesh is now.mesh
