"""Runs what sources report through rules, compiler and cache, in the event loop."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import nullcontext, suppress
from datetime import UTC, datetime

from xds import gc_tuning
from xds.code_digest import code_digest
from xds.documents import DocumentId, Kind, kind_of, revision_of
from xds.documents.problem import Problem
from xds.pipeline.checks import Validator
from xds.pipeline.compilation import Compilation, CompilationSettings, Inputs, lanes_in
from xds.pipeline.document_edits import DocumentEdits, Edits
from xds.pipeline.saved_route_modes import saved_route_modes
from xds.pipeline.saved_versions import SavedVersions
from xds.pipeline.served_versions import Version
from xds.pipeline.service_reads import ServiceReads
from xds.pipeline.serving import Serving
from xds.pipeline.staged_push import StagedPushes
from xds.pipeline.start import Start
from xds.pipeline.time_slice import TimeSlice
from xds.pipeline.timers import Timers
from xds.routing import Overrides, Routing
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import RuleDocument
from xds.rules.parse import ParsedDocument
from xds.rules.store import DocumentStore
from xds.snapshot import SavedService, Snapshot, SnapshotWriter
from xds.sources.change_buffer import ChangeBuffer, Changes
from xds.sources.watched_services import Needs, WatchedServices
from xds.status import EditStage, Status
from xds.views import Cohorts, CompiledService, Services, node_group_of

_LONGEST_REST = 0.1
"""Seconds between two batches, at most."""

_LONGEST_WAIT = 30.0
"""Seconds that the pipeline waits at most for a time of the wall clock: that may be set forward or back."""

_LONGEST_CHECK = 2.0
"""Seconds that a check waits at most for the instances of a service that is not watched."""

_MANY = 200
"""So many documents at once make so many objects that Python would look through all for reference cycles."""


class Pipeline:
    """Takes what changed from the change buffer and brings the services up to date, again and again.

    Until the source is synced, documents are only collected: which of two that conflict is applied must not
    depend on which arrived first. ``opened`` is called once there is something complete to serve: what the
    source says, or, if that takes long, the snapshot. ``wall_clock`` gives the seconds since the epoch.
    ``soaks`` has the soak time of each stage of pushes but the last (``staged_push``). ``validator`` is asked
    before a version is served first; None: nobody is. ``watched`` are the services that the source watches;
    None: it reports all.
    """

    def __init__(
        self,
        changes: ChangeBuffer,
        services: Services,
        snapshot: SnapshotWriter[CompiledService],
        status: Status,
        opened: Callable[[], None],
        *,
        settings: CompilationSettings | None = None,
        wall_clock: Callable[[], float] = time.time,
        cohorts: Cohorts | None = None,
        soaks: Sequence[float] = (),
        validator: Validator | None = None,
        watched: WatchedServices | None = None,
    ) -> None:
        self._changes = changes
        self._services = services
        self._snapshot = snapshot
        self._status = status
        self._opened = opened
        self._wall_clock = wall_clock
        # What services are compiled from. Written here.
        self._inputs = Inputs(settings or CompilationSettings(), wall_clock)
        self._compilation = Compilation(self._inputs, services)
        self._timers = Timers()
        self.reads = ServiceReads(watched, lambda one: services.get(one) is not None, time.monotonic)
        """Which services the source was asked for and has read; views are to wait for theirs."""
        self._edits = DocumentEdits(self._inputs, self.reads, snapshot, status, self._set_lanes)
        self.serving = Serving(
            services,
            status,
            self._inputs,
            self._compilation,
            saved=SavedVersions(snapshot, self._edits.texts),
            pushes=StagedPushes(soaks),
            wake=changes.wake,
            cohorts=cohorts or Cohorts(node_group_of, lambda _: ()),
            validator=validator,
        )
        """Which versions clients are served; it is to be told what they answer."""
        # What the run before kept. Written by ``run``.
        self._saved: Snapshot[CompiledService] = Snapshot()
        self.in_step = False
        """Whether what is served is what the source says, not only the snapshot."""

    @property
    def documents(self) -> DocumentStore:
        """The documents in force, to be read."""
        return self._inputs.documents

    @property
    def texts(self) -> Mapping[DocumentId, bytes]:
        """The latest text of each document."""
        return self._edits.texts

    @property
    def services(self) -> set[ServiceId]:
        """All services with rules or instances."""
        return {*self.documents.services(), *self._inputs.instances}

    @property
    def known_services(self) -> set[ServiceId]:
        """All services with rules or instances, and those that are only registered: not watched."""
        return self.services | self.reads.registered()

    def exists(self, service: ServiceId) -> bool:
        """Whether a service has a rule or instances, or is registered."""
        return self._inputs.exists(service) or self.reads.is_registered(service)

    def is_watched(self, service: ServiceId) -> bool:
        """Whether the instances of a service are known, if it has any."""
        return self.reads.has_read(service)

    def instances_of(self, service: ServiceId) -> tuple[Instance, ...]:
        """Return the instances of a service, of the naming group that its rule in force names."""
        rule = self.documents.rule(service)
        return self._inputs.instances_of(service, rule.group if rule else None)

    def routing(self, service: ServiceId, rule: RuleDocument | None = None) -> Routing:
        """Say what is decided for a service now, or would be if a rule were in force."""
        return self._inputs.routing(service, rule or self.documents.rule(service))

    async def check(self, document: DocumentId, text: bytes) -> tuple[ParsedDocument, tuple[Problem, ...]]:
        """Read a text as a new version of a document; return it with all that there is to say of it."""
        checked = await self._inputs.check(document, text)
        rule = checked[0].rule
        if rule is None or self.reads.has_read(ServiceId(document.namespace, rule.service)):
            return checked
        needs = Needs(document.namespace, frozenset({rule.service}))
        await self.reads.available(needs, _LONGEST_CHECK)
        return await self._inputs.check(document, text)

    def set_overrides(self, service: ServiceId, overrides: Overrides | None) -> None:
        """Have a service compiled with overrides from now on; None: as its document says."""
        if overrides is None:
            self._inputs.overrides.pop(service, None)
        else:
            self._inputs.overrides[service] = overrides
        self._timers.put(service, self._wall_clock())
        self._changes.wake()

    def serve_grpc_clients(self) -> None:
        """Have every service compiled for gRPC clients as well, from when the first one is seen."""
        if self._inputs.grpc_clients:
            return
        self._inputs.grpc_clients = True
        for service in self.services:
            self._timers.put(service, self._wall_clock())
        self._changes.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        self._saved = await self._snapshot.load()
        await asyncio.to_thread(code_digest)
        if modes := saved_route_modes(self._saved):
            self._services.switches.restore(modes)
        self.serving.restore(self._saved.state)
        await self._restore()
        self._compilation.begin(dict(self._saved.services))
        start = self._start()
        first = Changes()
        while not first.synced:
            first.absorb(await start.next())
        with gc_tuning.paused():
            await self._load(first, start)
            await self.serving.checked()
        self.in_step = True
        self.reads.let_saved_go()
        self.serving.begin()
        self._opened()
        clock = asyncio.get_running_loop().time
        while True:
            changes = await self._take()
            began = clock()
            with gc_tuning.paused() if len(changes.documents) >= _MANY else nullcontext():
                await self._apply(changes)
            # Half of the time is the streams', however fast edits come; what comes meanwhile is merged.
            await asyncio.sleep(min(clock() - began, _LONGEST_REST))

    async def _restore(self) -> None:
        """Serve the snapshot, to nobody yet."""
        known = (saved.service for saved in self._saved.services.values() if saved)
        self._inputs.grpc_clients = any(service.grpc_clients for service in known)
        self.reads.hold_saved({service for service, saved in self._saved.services.items() if saved})
        await self.serving.serve_saved(
            {service: saved.service if saved else None for service, saved in self._saved.services.items()}
        )
        self._restore_lanes()

    def _restore_lanes(self) -> None:
        """Have requests enter lanes as the run before had them."""
        texts = {
            document: text
            for document, text in self._saved.documents.items()
            if text is not None and kind_of(document.name) in {Kind.LANES, Kind.LIST}
        }
        documents = DocumentStore()
        parsed = {document: self._inputs.parse(document, text) for document, text in texts.items()}
        self._set_lanes(documents, documents.load(parsed).lanes)

    def _set_lanes(self, documents: DocumentStore, namespaces: Set[str]) -> None:
        for namespace in sorted(namespaces):
            now = datetime.fromtimestamp(self._wall_clock(), UTC)
            lanes = lanes_in(documents, namespace, now, self._inputs.settings.region_header)
            self._services.set_lanes(namespace, lanes)
            changes_at = lanes.entrances.changes_at
            # No service is called so: this is the time of the lanes of the namespace.
            self._timers.put(ServiceId(namespace, ""), changes_at.timestamp() if changes_at else None)

    def _start(self) -> Start:
        def serve_snapshot() -> None:
            self._status.serving_snapshot(len(self._saved.services))
            self._opened()

        # A source that watches what is needed was told so just now.
        age = self._changes.age if self.reads.begun else 0.0
        asked = asyncio.get_running_loop().time() - age
        return Start(
            self._changes, self._take_changes, serve_snapshot if self._saved.services else None, asked
        )

    async def _take(self) -> Changes:
        """Wait until something is to be done: changes, or what is due at a time of the wall clock."""
        while True:
            now = self._wall_clock()
            due = self._timers.due(now)
            if self.serving.due(now) or due or self.reads.patience == 0:
                return Changes()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience(now)):
                    return await self._take_changes()

    async def _take_changes(self) -> Changes:
        changes = await self._changes.take()
        trouble = self._changes.trouble
        self._status.trouble(trouble.reason, trouble.topics)
        return changes

    def _patience(self, now: float) -> float:
        """Return how long nothing is due, in seconds."""
        times = [self._services.expire_modes(now), self._timers.next]
        waits = [max(when - now, 0.0) for when in times if when is not None]
        waits += [wait for wait in (self.serving.patience, self.reads.patience) if wait is not None]
        return min([*waits, _LONGEST_WAIT])

    async def _load(self, changes: Changes, start: Start) -> None:
        """Bring the services from the snapshot, if there is one, to what the source says.

        The texts of then are loaded first and those of now applied as edits of them: so a document that is
        broken now keeps its last valid version, and of two that conflict the one stays that was there.
        Nothing is compiled before the services were read that the documents need.
        """
        then = {document: text for document, text in self._saved.documents.items() if text is not None}
        await self._edits.load(then)
        gone = dict.fromkeys(then.keys() - changes.documents.keys())
        documents: dict[DocumentId, bytes | None] = {**changes.documents, **gone}
        edits: Edits = {}
        while True:
            self.reads.take(changes)
            self._inputs.take_instances(changes)
            edits |= (await self._edits.apply(documents))[1]
            if self.reads.begun:
                break
            changes = await start.next()
            documents = changes.documents
        known = {service for service, saved in self._saved.services.items() if saved}
        await self._compile(self.services | known)
        await self._edits.tell(edits)
        self._status.synced(services=len(self._inputs.instances))

    async def _apply(self, changes: Changes) -> None:
        await self.serving.serve_due()
        self._status.edits_taken(changes.seen)
        self.reads.take(changes)
        changed, edits = await self._edits.apply(changes.documents)
        due = self._timers.take(self._wall_clock())
        self._set_lanes(self.documents, {service.namespace for service in due if not service.name})
        await self._compile(changed | due | self._inputs.take_instances(changes))
        await self._edits.tell(edits)

    async def _compile(self, services: Set[ServiceId]) -> None:
        served: dict[ServiceId, CompiledService | None] = {}
        saved: dict[ServiceId, SavedService[CompiledService] | None] = {}
        await asyncio.sleep(0)  # who calls has just gone through thousands of services, in a burst
        turn = TimeSlice()
        waited = set(self.reads.waiting)
        ready = self.reads.ready(services)
        for service in waited ^ self.reads.waiting:
            self._note_waiting(service, on=service not in waited)
        order = sorted(ready)
        await turn.pause()
        for service in order:
            latest = self._compile_one(service)
            served[service] = self.serving.choose(service)
            before = self._services.get(service)
            self._status.compiled(service, before.origins if before else (), self.documents.origins(service))
            saved[service] = None
            if latest and (chosen := served[service]):
                # What is served instead of the latest version is compiled anew in the next run.
                saved[service] = latest if chosen is latest.service else SavedService("", chosen)
            await turn.pause()
        if served:
            await self._serve(served, saved)
        self.reads.served(ready)

    def _note_waiting(self, service: ServiceId, *, on: bool) -> None:
        """Say that what is in force for a service is not compiled until its instances were read, or is."""
        origins = self.documents.origins(service)
        self._status.compiled(service, (), origins)
        self._status.checking(service, [origin.document for origin in origins], on=on)

    async def _serve(
        self,
        served: Mapping[ServiceId, CompiledService | None],
        saved: dict[ServiceId, SavedService[CompiledService] | None],
    ) -> None:
        self._status.reached(EditStage.COMPILED)
        # Of a push in stages it must be on disk together with how far the push is. Else proxies come first.
        first_kept = self.serving.is_pushed_in_stages(served)
        if first_kept:
            self._snapshot.keep(Snapshot(services=saved))
        await self.serving.serve(served)
        hidden: set[ServiceId] = set()
        turn = TimeSlice()
        for service, chosen in served.items():
            if not first_kept:
                # One by one: what is replaced of them is freed, and thousands at once would hold the loop.
                self._snapshot.keep(Snapshot(services={service: saved[service]}))
            if chosen and not self._services.is_visible(service):
                hidden.add(service)
            await turn.pause()
        self._status.hidden(hidden, among=served.keys())

    def _compile_one(self, service: ServiceId) -> SavedService[CompiledService] | None:
        """Compile the latest version of a service; return what is to be kept of it, None if it is gone."""
        if not self._inputs.exists(service):
            self.serving.forget(service)
            self._timers.put(service, None)
            return None
        if rule := self.documents.rule(service):
            document = self.documents.document_of(service)
            self._status.instances_checked(document, self._inputs.lint(service, document, rule))
        latest, inputs = self._compilation.compile(service, self.serving.latest(service))
        changes_at = inputs.routing.changes_at
        self._timers.put(service, changes_at.timestamp() if changes_at else None)
        text = self._edits.texts.get(self.documents.document_of(service)) if rule else None
        if text and revision_of(text) != latest.service.origins[0].revision:
            text = None  # it has errors, and an earlier one is in force
        self.serving.offer(service, Version(latest.service, inputs, text))
        return latest
