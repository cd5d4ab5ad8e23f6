"""A control plane without a server: a pipeline whose source, clock and proxies are the test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.harness import PATIENCE
from xds.cache import Cache, Ref, Resource, View
from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.documents import DocumentId, Origin
from xds.pipeline import Pipeline, serving
from xds.pipeline.checks import Validator
from xds.protocol import Rejected
from xds.protocol.events import Change
from xds.rules.instance import Instance, ServiceId
from xds.server import Peer, StreamInfo
from xds.snapshot import SnapshotStore, SnapshotWriter
from xds.sources.base import DocumentChanged, InstancesChanged, Synced, Trouble
from xds.sources.change_buffer import ChangeBuffer
from xds.status import DocumentStatus, Status
from xds.type_urls import ENDPOINT, ROUTE
from xds.validation import EnvoyVerdict
from xds.views import Cohorts, CompiledService, ListenerSettings, NodeGroup, Services, Stage, node_group_of
from xds.wire import Node
from xds.wire import Status as ErrorStatus
from xds.wire.descriptors import message_class


class Proxy:
    """An edge. It takes what it is sent, unless a host is in it that it ``rejects``."""

    def __init__(self, world: "World", name: str, rejects: Set[str]) -> None:
        self._world = world
        self.rejects = set(rejects)
        self.stream = StreamInfo(Node(id=name, cluster="edge"), Peer("ipv4:192.0.2.1:1"), "ADS")
        # The routes that it has.
        self._held: Resource | None = None
        world.cohorts.opened(self.stream.node)
        world.status.opened(self.stream)

    @property
    def view(self) -> View:
        group = self._world.cohorts.group_of(self.stream.node)
        return self._world.services.view_of(group, now=0.0).filled()

    def is_sent(self) -> list[str]:
        """Return the hosts that it is sent."""
        resource = self.view.get(Ref(ROUTE, "edge"))
        assert resource
        routes: Any = message_class("envoy.config.route.v3.RouteConfiguration").FromString(resource.body)
        return sorted(domain for host in routes.virtual_hosts for domain in host.domains)

    def ports(self, service: str) -> list[int]:
        """Return the ports of the instances that it is sent."""
        resource = self.view.get(Ref(ENDPOINT, service))
        assert resource
        name = "envoy.config.endpoint.v3.ClusterLoadAssignment"
        assignment: Any = message_class(name).FromString(resource.body)
        instances = [each for zone in assignment.endpoints for each in zone.lb_endpoints]
        return sorted(each.endpoint.address.socket_address.port_value for each in instances)

    def answer(self, unmended: Set[Ref] = frozenset()) -> None:
        """Answer what it is sent; ``unmended`` is what it rejected before and has not taken since."""
        sent, serving_ = self.view.get(Ref(ROUTE, "edge")), self._world.pipeline.serving
        if bad := sorted(self.rejects.intersection(self.is_sent())):
            reason = ErrorStatus(3, f"bad host {bad[0]}")
            event = Rejected(ROUTE, {"edge": Change(self._held, sent)}, reason)
            self._world.status.answered(self.stream, event)
            serving_.answered(self.stream, event)
        else:
            self._held = sent
            generation = self.view.generation
            self._world.status.in_step(self.stream, generation, unmended)
            serving_.in_step(self.stream, generation, unmended)

    def leave(self) -> None:
        self._world.status.closed(self.stream)
        self._world.services.leave(self._world.cohorts.group_of(self.stream.node))
        self._world.cohorts.closed(self.stream.node)


class FakeValidator:
    """Refuses services by name, with the words of ``refuses``; asked for one service at a time."""

    def __init__(self) -> None:
        self.refuses: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def check(self, services: Mapping[ServiceId, CompiledService]) -> AsyncIterator[EnvoyVerdict]:
        self.asked.append(sorted(service.name for service in services))
        await self.may_answer.wait()
        for service in services:
            yield EnvoyVerdict((service,), self.refuses.get(service.name))


class World:
    """All but the server and the source, which the test is."""

    def __init__(self, kept: Path, *, stages: tuple[Stage, ...], validator: Validator | None) -> None:
        self.now = 1_000_000.0
        self._markers = count()
        self.buffer = ChangeBuffer()
        listeners = ListenerSettings(
            lambda _: EdgeListener("127.0.0.1", 1), lambda _: SidecarListeners("127.0.0.1", 1, 2)
        )
        self.services = Services(Cache(), listeners, changed=self._changed)
        self.snapshot = SnapshotWriter(SnapshotStore(kept, CompiledService))
        self.cohorts = Cohorts(node_group_of, lambda _: stages)
        self.status = Status(
            [],
            self.services.groups_of,
            lambda: self.now,
            group_of=self.cohorts.group_of,
            is_before=self.services.is_before,
        )
        self.opened = 0
        self.pipeline = Pipeline(
            self.buffer,
            self.services,
            self.snapshot,
            self.status,
            self._open,
            wall_clock=lambda: self.now,
            cohorts=self.cohorts,
            soaks=[stage.soak for stage in stages],
            validator=validator,
        )

    def _open(self) -> None:
        self.opened += 1

    def _changed(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        self.pipeline.serving.view_changed(group, generation, services, sent=sent)

    def write(self, **hosts: str | None) -> None:
        """Write the documents of services, each with a host; None deletes one."""
        for service, host in hosts.items():
            text = None if host is None else f"hosts: [{host}]\n".encode()
            self.buffer.put(DocumentChanged(DocumentId("", f"{service}.yaml"), text))

    def register(self, service: str, port: int) -> None:
        self.buffer.put(InstancesChanged(ServiceId("", service), (Instance("127.0.0.1", port),)))

    async def start(self, **hosts: str) -> None:
        """Have the source say that there are these documents."""
        self.write(**hosts)
        self.buffer.put(Synced())
        await self.until(lambda: self.pipeline.in_step)

    async def be_away(self) -> None:
        """Have the source say that it cannot say anything."""
        self.buffer.put(Trouble("down"))
        await self.until(lambda: self.opened)

    def proxy(self, name: str = "edge-1", *, rejects: Set[str] = frozenset()) -> Proxy:
        return Proxy(self, name, rejects)

    def document(self, service: str) -> DocumentStatus:
        status = self.status.document(DocumentId("", f"{service}.yaml"))
        assert status
        return status

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)

    async def settle(self) -> None:
        """Wait until all that was put into the buffer, and all that follows from answers, is done."""
        for _ in range(2):  # What follows from answers is looked for between two batches.
            marker = DocumentId("", f"marker-{next(self._markers)}.list")
            self.buffer.put(DocumentChanged(marker, b"x\n"))
            await self.until(lambda marker=marker: self.status.document(marker))  # type: ignore[misc]


@asynccontextmanager
async def running(
    kept: Path, *, stages: tuple[Stage, ...] = (), validator: Validator | None = None
) -> AsyncIterator[World]:
    """Run a world; a second one with the same ``kept`` is the same control plane after a restart."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(serving, "_LOOK_EVERY", 0.01)
        world = World(kept, stages=stages, validator=validator)
        tasks = [
            asyncio.create_task(run()) for run in (world.pipeline.run, world.pipeline.serving.run_checks)
        ]
        try:
            yield world
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            world.cohorts.hold()
            await world.snapshot.flush()
