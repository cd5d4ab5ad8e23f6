"""Runs what sources report through rules, compiler and cache, in the event loop."""

import asyncio
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from xds.documents import DocumentId
from xds.documents.problem import Problem
from xds.pipeline.inputs import inputs_digest
from xds.pipeline.time_slice import TimeSlice
from xds.routing import Routing, Surroundings, routing_of
from xds.rules.instance import Instance, ServiceId
from xds.rules.lint import lint_instances
from xds.rules.model import RuleDocument
from xds.rules.parse import ParsedDocument, parse
from xds.rules.store import DocumentStore, StoreChange
from xds.snapshot import SavedService, Snapshot, SnapshotWriter
from xds.sources.change_buffer import ChangeBuffer, Changes
from xds.status import Status
from xds.views import CompiledService, ServedModes, Services

_LONGEST_REST = 0.1
"""Seconds between two batches, at most."""

_LONGEST_WAIT = 30.0
"""Seconds that the pipeline waits at most for a time of the wall clock: that may be set forward or back."""

_PATIENCE = 0.5
"""Seconds from when the source was asked that it has to report everything, before the last known good is
served instead. What it says is newer, and to proxies that run a word too late is better than an old one:
they keep what they have meanwhile. One that has just started waits, and 0.5 s is not long for it; nor would
more be of use, since a source that has much to say takes longer than anyone would wait."""

_PATIENCE_IN_TROUBLE = 0.1
"""The same once the source is in trouble. Not zero: the trouble may be with one document only."""


Edits = dict[DocumentId, tuple[ServiceId, ...]]
"""Documents that were put in force or deleted, and the services that changed with each."""

_ROUTE_MODES = "route modes"
"""Under this name the snapshot holds the route modes of the groups."""


def keep_route_modes(snapshot: SnapshotWriter[CompiledService], served: Mapping[str, ServedModes]) -> None:
    """Have the route modes of the groups kept, for the next run."""
    snapshot.keep(Snapshot(state={_ROUTE_MODES: msgspec.json.encode(served)}))


class Pipeline:
    """Takes what changed from the change buffer and brings the services up to date, again and again.

    Until the source is synced, documents are only collected: which of two that conflict is applied must not
    depend on which arrived first. ``opened`` is called once there is something complete to serve: what the
    source says, or, if that takes long, the snapshot. ``exact_only`` says whether a gateway can serve no
    wildcard hosts. ``wall_clock`` gives the seconds since the epoch.
    """

    def __init__(
        self,
        changes: ChangeBuffer,
        services: Services,
        snapshot: SnapshotWriter[CompiledService],
        status: Status,
        opened: Callable[[], None],
        *,
        exact_only: Callable[[str], bool] = lambda _: False,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._changes = changes
        self._services = services
        self._snapshot = snapshot
        self._status = status
        self._opened = opened
        self._exact_only = exact_only
        self._wall_clock = wall_clock
        self._documents = DocumentStore()
        # The latest text of each document. Written by ``_edit`` and ``_parse``.
        self._texts: dict[DocumentId, bytes] = {}
        self._instances: dict[ServiceId, tuple[Instance, ...]] = {}
        # What the run before kept, less what was compared with the source.
        self._saved: Snapshot[CompiledService] = Snapshot()
        self.in_step = False
        """Whether what is served is what the source says, not only the snapshot."""

    @property
    def documents(self) -> DocumentStore:
        """The documents in force, to be read."""
        return self._documents

    @property
    def texts(self) -> Mapping[DocumentId, bytes]:
        """The latest text of each document."""
        return self._texts

    @property
    def instances(self) -> Mapping[ServiceId, tuple[Instance, ...]]:
        """The instances of each service."""
        return self._instances

    def routing(self, service: ServiceId, rule: RuleDocument | None = None) -> Routing:
        """Say what is decided for a service now, or would be if a rule were in force."""
        return self._routing(service, rule or self._documents.rule(service))

    def check(self, document: DocumentId, text: bytes) -> tuple[ParsedDocument, tuple[Problem, ...]]:
        """Read a text as a new version of a document; return it with all that would be wrong with it."""
        parsed = parse(document.name, text, self._exact_only)
        return parsed, (*parsed.problems, *self._documents.conflicts(document, parsed))

    async def run(self) -> None:
        """Work until cancelled."""
        self._saved = await self._snapshot.load()
        if modes := self._saved.state.get(_ROUTE_MODES):
            self._services.switches.restore(msgspec.json.decode(modes, type=dict[str, ServedModes]))
        await self._restore()
        await self._load(await self._first())
        self.in_step = True
        self._opened()
        clock = asyncio.get_running_loop().time
        while True:
            changes = await self._take()
            began = clock()
            await self._apply(changes)
            # Half of the time is the streams', however fast edits come; what comes meanwhile is merged.
            await asyncio.sleep(min(clock() - began, _LONGEST_REST))

    async def _restore(self) -> None:
        """Serve the snapshot, to nobody yet."""
        await self._serve(
            {service: saved.service if saved else None for service, saved in self._saved.services.items()}
        )

    async def _serve(self, services: Mapping[ServiceId, CompiledService | None]) -> None:
        for _ in self._services.apply(services):
            await asyncio.sleep(0)

    async def _first(self) -> Changes:
        """Collect what there is until the source is synced."""
        first = Changes()
        if self._saved.services:
            await self._collect_while_patient(first)
        if self._saved.services and not first.synced:
            self._status.serving_snapshot(len(self._saved.services))
            self._opened()
        while not first.synced:
            first.absorb(await self._take())
        return first

    async def _collect_while_patient(self, changes: Changes) -> None:
        """Collect until the source is synced or its time is up."""
        asked = asyncio.get_running_loop().time() - self._changes.age
        with suppress(TimeoutError):
            async with asyncio.timeout_at(asked + _PATIENCE) as limit:
                while not changes.synced:
                    changes.absorb(await self._take())
                    in_trouble = self._changes.trouble is not None
                    limit.reschedule(asked + (_PATIENCE_IN_TROUBLE if in_trouble else _PATIENCE))

    async def _take(self) -> Changes:
        """Wait for changes; meanwhile do what is due at a time of the wall clock."""
        while True:
            now = self._wall_clock()
            due = self._services.expire_modes(now)
            wait = _LONGEST_WAIT if due is None else min(max(due - now, 0.0), _LONGEST_WAIT)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    changes = await self._changes.take()
                    self._status.trouble(self._changes.trouble)
                    return changes

    async def _load(self, changes: Changes) -> None:
        """Bring the services from the snapshot, if there is one, to what the source says.

        The texts of then are loaded first and those of now applied as edits of them: so a document that is
        broken now keeps its last valid version, and of two that conflict the one stays that was there.
        """
        then = {document: text for document, text in self._saved.documents.items() if text is not None}
        self._note(self._documents.load(await self._parse(then)))
        gone = dict.fromkeys(then.keys() - changes.documents.keys())
        _, edits = await self._edit({**changes.documents, **gone})
        self._note_instances(changes)
        known = {service for service, saved in self._saved.services.items() if saved}
        await self._compile(self._documents.services() | self._instances.keys() | known)
        self._status.in_force(edits)
        self._status.synced(services=len(self._instances))

    async def _apply(self, changes: Changes) -> None:
        changed, edits = await self._edit(changes.documents)
        await self._compile(changed, self._note_instances(changes) - changed)
        self._status.in_force(edits)

    async def _edit(self, documents: Mapping[DocumentId, bytes | None]) -> tuple[set[ServiceId], Edits]:
        """Apply new texts (None: deleted) to the store.

        Return the services whose rule changed, and for each document that was put in force those of its own.
        """
        texts = {name: text for name, text in documents.items() if text != self._texts.get(name)}
        parsed = await self._parse({name: text for name, text in texts.items() if text is not None})
        changed: set[ServiceId] = set()
        edits: Edits = {}
        turn = TimeSlice()
        # Deletions first: a document that was renamed is not in its own way.
        for document in sorted(texts, key=lambda name: (texts[name] is not None, name)):
            if texts[document] is None:
                self._texts.pop(document, None)
            change = self._documents.apply(document, parsed.get(document))
            self._note(change)
            if self._status.is_rejected(document):
                self._status.edited(document)
            else:
                edits[document] = tuple(sorted(change.services))
            self._keep_texts(change.documents)
            changed |= change.services
            await turn.pause()
        return changed, edits

    def _note(self, change: StoreChange) -> None:
        standings = {document: self._documents.standing(document) for document in change.documents}
        self._status.documents_changed(change.problems, standings)

    def _keep_texts(self, documents: Set[DocumentId]) -> None:
        """Have texts kept; of a document that is rejected, the last valid one stays kept."""
        valid = {name: self._texts.get(name) for name in documents if not self._status.is_rejected(name)}
        self._snapshot.keep(Snapshot(documents=dict(valid)))

    async def _parse(self, documents: Mapping[DocumentId, bytes]) -> dict[DocumentId, ParsedDocument]:
        self._texts.update(documents)
        if not documents:
            return {}
        return await asyncio.to_thread(
            lambda: {name: parse(name.name, text, self._exact_only) for name, text in documents.items()}
        )

    def _note_instances(self, changes: Changes) -> set[ServiceId]:
        changed = {
            service
            for service, instances in changes.instances.items()
            if self._instances.get(service) != instances
        }
        for service in changed:
            instances = changes.instances[service]
            if instances is None:
                self._instances.pop(service, None)
            else:
                self._instances[service] = instances
        return changed

    async def _compile(self, services: Set[ServiceId], instances_only: Set[ServiceId] = frozenset()) -> None:
        compiled: dict[ServiceId, SavedService[CompiledService] | None] = {}
        turn = TimeSlice()
        for service in sorted(services | instances_only):
            known = self._services.get(service) if service in instances_only else None
            compiled[service] = self._compile_one(service, known)
            await turn.pause()
        if compiled:
            for service, saved in compiled.items():
                before = self._services.get(service)
                origins = saved.service.origins if saved else ()
                self._status.compiled(service, before.origins if before else (), origins)
            await self._serve({name: saved.service if saved else None for name, saved in compiled.items()})
            self._snapshot.keep(Snapshot(services=compiled))
            there = {service for service, saved in compiled.items() if saved}
            unseen = {service for service in there if not self._services.is_visible(service)}
            self._status.hidden(unseen, among=compiled.keys())

    def _compile_one(
        self, service: ServiceId, known: CompiledService | None
    ) -> SavedService[CompiledService] | None:
        """Compile a service anew, or, if it is ``known`` that only its instances changed, those.

        After a restart, what was kept is taken for what it was compiled from.
        """
        rule = self._documents.rule(service)
        instances = self._instances.get(service)
        if rule is None and instances is None:
            return None
        origins = self._documents.origins(service)
        if rule is not None:
            document = self._documents.document_of(service)
            problems = lint_instances(document.name, rule, instances or ())
            self._status.instances_checked(document, problems)
        routing = self._routing(service, rule)
        inputs = inputs_digest(routing, origins, instances or ())
        saved = self._saved.services.pop(service, None)
        if saved and saved.inputs == inputs:
            return saved
        if known:
            return SavedService(inputs, known.with_instances(routing, instances or ()))
        return SavedService(inputs, CompiledService.of(service, routing, origins, instances or ()))

    def _routing(self, service: ServiceId, rule: RuleDocument | None) -> Routing:
        """Say what is decided for a service now."""
        lanes = self._documents.lanes(service.namespace).lanes
        surroundings = Surroundings(lists=self._documents.lists_of(service), lanes=lanes)
        return routing_of(service.name, rule, datetime.fromtimestamp(self._wall_clock(), UTC), surroundings)
