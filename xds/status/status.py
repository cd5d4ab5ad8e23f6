"""The read model itself: what it is told, and what it can be asked."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from xds.cache import Ref
from xds.documents import DocumentId, Origin
from xds.documents.problem import Problem, Severity
from xds.protocol import Acked, Event, Rejected
from xds.rules.instance import ServiceId
from xds.rules.store import Standing
from xds.server import StreamInfo
from xds.status import events
from xds.status.blame import blamed, changed_origins
from xds.status.model import DocumentState, DocumentStatus, NodeDocument, NodeStatus, Quarantine, Rejection
from xds.status.streams import Streams
from xds.views import NodeGroup, node_group_of
from xds.wire import Node

_NOBODY = Standing(None, None, waits=False)


@dataclass(slots=True)
class _DocumentRecord:
    """What is known of one document. Written by ``documents_changed`` and ``instances_checked``."""

    standing: Standing = _NOBODY
    problems: tuple[Problem, ...] = ()
    # Problems that the document has beside the instances of its service.
    of_instances: tuple[Problem, ...] = ()
    # The services that are made from it. Written by ``compiled``.
    services: set[ServiceId] = field(default_factory=set)
    at: float = 0.0


@dataclass(slots=True, eq=False)
class DocumentFeed:
    """The documents whose status changed since a reader last looked; each reader has its own."""

    _changed: set[DocumentId] = field(default_factory=set)

    def add(self, documents: Iterable[DocumentId]) -> None:
        """Add documents whose status changed."""
        self._changed.update(documents)

    def take(self) -> set[DocumentId]:
        """Return the documents that changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed


class Status:
    """What became of every document, and how every node stands.

    ``groups_of`` says which node groups see a service, ``group_of`` to which one a node belongs, and
    ``is_before`` whether a group is served an earlier version of a service still. It is an ``Observer``
    of the server.
    """

    def __init__(
        self,
        sinks: Iterable[events.Sink],
        groups_of: Callable[[ServiceId], Iterable[NodeGroup]],
        wall_clock: Callable[[], float] = time.time,
        group_of: Callable[[Node], NodeGroup] = node_group_of,
        is_before: Callable[[NodeGroup, ServiceId], bool] = lambda *_: False,
    ) -> None:
        self._sinks = tuple(sinks)
        self._groups_of = groups_of
        self._now = wall_clock
        self._group_of = group_of
        self._is_before = is_before
        # By document. Written by ``documents_changed``.
        self._documents: dict[DocumentId, _DocumentRecord] = {}
        # Documents whose latest text is not in force for its errors.
        self._rejected: set[DocumentId] = set()
        # By service. Written by ``quarantined`` and ``quarantine_lifted``.
        self._quarantines: dict[ServiceId, Quarantine] = {}
        # Services that their names keep from the nodes. Written by ``hidden``.
        self._hidden: Set[ServiceId] = frozenset()
        # Services of which a new version is checked before it is served. Written by ``checking``.
        self._checking: set[ServiceId] = set()
        # Why the source cannot be read, and the topics of that. Written by ``trouble``.
        self._trouble: str | None = None
        self._trouble_topics: Set[str] = frozenset()
        self._streams = Streams()
        # Those who want to know what changed. Written by ``feed``.
        self._feeds: list[DocumentFeed] = []

    # What can be asked

    def documents(self) -> list[DocumentId]:
        """Return all documents, in order."""
        return sorted(self._documents)

    def document(self, document: DocumentId) -> DocumentStatus | None:
        """Return the status of a document, None if there is no such."""
        record = self._documents.get(document)
        if record is None:
            return None
        groups = {group for service in record.services for group in self._groups_of(service)}
        before = {group for service in record.services for group in groups if self._is_before(group, service)}
        count = self._streams.count(document, groups, before)
        quarantine = self._quarantine(record)
        return DocumentStatus(
            document=document,
            revision=record.standing.latest,
            in_force=record.standing.in_force,
            state=self._state(document, record, quarantine, behind=count.programmed < count.of),
            problems=(*record.problems, *record.of_instances),
            services=tuple(sorted(record.services)),
            proxies=count,
            rejections=self._streams.rejections(document),
            quarantine=quarantine,
            at=record.at,
        )

    def has_all(self, document: DocumentId, groups: Iterable[NodeGroup]) -> bool:
        """Whether all connected nodes of some groups have everything of a document."""
        count = self._streams.count(document, groups)
        return count.programmed == count.of

    def documents_of(self, node: str) -> Iterator[NodeDocument]:
        """Yield the documents that a node is served, and whether it has what is in force of each."""
        generations = self._streams.generations(node)
        for document, record in sorted(self._documents.items()):
            quarantine = self._quarantine(record)
            revision = quarantine.served if quarantine else record.standing.in_force
            views = {
                group: generation
                for service in record.services
                for group in self._groups_of(service)
                if (generation := generations.get(group)) is not None
            }
            if views and revision is not None:
                waits = any(self._is_before(group, service) for group in views for service in record.services)
                yield NodeDocument(
                    document, revision, has=not waits and self._streams.has(node, document, views)
                )

    def nodes(self) -> Iterator[NodeStatus]:
        """Yield how every open stream stands."""
        return self._streams.nodes()

    def quarantines(self) -> Mapping[ServiceId, Quarantine]:
        """Return what is quarantined, by service."""
        return dict(self._quarantines)

    def feed(self) -> DocumentFeed:
        """Return a new feed of the documents whose status changes from now on; all of them at first."""
        feed = DocumentFeed(set(self._documents))
        self._feeds.append(feed)
        return feed

    def changed_documents(self, feed: DocumentFeed) -> set[DocumentId]:
        """Return the documents whose status changed since this was last asked for a feed."""
        self._touch(self._streams.moved())
        changed = feed.take()
        self._streams.read(changed)
        return changed

    def is_rejected(self, document: DocumentId) -> bool:
        """Whether the latest text of a document is not in force for its errors, or since it waits."""
        return document in self._rejected

    # What the pipeline tells

    def edits_taken(self, seen: Mapping[DocumentId, float]) -> None:
        """Note that a batch begins; ``seen`` are its documents, and when the source reported each."""
        if seen:
            self._tell(events.EditsTaken(seen))

    def reached(self, stage: events.EditStage) -> None:
        """Note how far the batch is."""
        self._tell(events.StageReached(stage))

    def documents_changed(
        self,
        problems: Mapping[DocumentId, tuple[Problem, ...]],
        standings: Mapping[DocumentId, Standing | None],
    ) -> None:
        """Note what is wrong with new texts that the store took, and how they stand; None: it is gone."""
        for document, standing in standings.items():
            found = problems.get(document, ())
            if standing is None:
                self._documents.pop(document, None)
                self._rejected.discard(document)
                continue
            record = self._documents.setdefault(document, _DocumentRecord())
            if record.standing.latest != standing.latest:
                record.at = self._now()
            known = frozenset(record.problems)
            record.standing, record.problems = standing, found
            for problem in sorted(set(found) - known):
                self._tell(events.ProblemFound(document, problem))
            if any(problem.severity is Severity.ERROR for problem in found):
                self._rejected.add(document)
            else:
                self._rejected.discard(document)
        self._touch(standings)

    def edited(self, document: DocumentId) -> None:
        """Note that a document was edited, and its text is not put in force."""
        record = self._documents.get(document)
        self._tell(events.DocumentRejected(document, waits=bool(record and record.standing.waits)))

    def in_force(self, document: DocumentId, services: tuple[ServiceId, ...]) -> None:
        """Note that a document, and what was made from it for these services, is in the cache."""
        if record := self._documents.get(document):
            revision = record.standing.in_force
            if revision is not None and document not in self._rejected:
                self._tell(events.DocumentApplied(document, revision, services))
        else:
            self._tell(events.DocumentDeleted(document, services))
        self._touch((document,))

    def compiled(self, service: ServiceId, before: Iterable[Origin], after: Iterable[Origin]) -> None:
        """Note that a service was made from some versions of documents, and is made from others now."""
        for origin in before:
            if record := self._documents.get(origin.document):
                record.services.discard(service)
        for origin in after:
            if record := self._documents.get(origin.document):
                record.services.add(service)

    def instances_checked(self, document: DocumentId, problems: tuple[Problem, ...]) -> None:
        """Note what is wrong with a document beside the instances that its service has now."""
        record = self._documents.get(document)
        if record is None or record.of_instances == problems:
            return
        known, record.of_instances = frozenset(record.of_instances), problems
        for problem in sorted(set(problems) - known):
            self._tell(events.ProblemFound(document, problem))
        self._touch((document,))

    def hidden(self, services: Set[ServiceId], *, among: Set[ServiceId]) -> None:
        """Note which ``among`` some services are kept from the nodes by their names."""
        for service in sorted(services - self._hidden):
            self._tell(events.ServiceHidden(service))
        self._hidden = (self._hidden - among) | services

    def serving_snapshot(self, services: int) -> None:
        """Note that the source has not reported everything in time, and the snapshot is served."""
        self._tell(events.ServingSnapshot(services))

    def synced(self, *, services: int) -> None:
        """Note that what is served is what the source says."""
        documents = len(self._documents)
        self._tell(events.InStepWithSource(documents, len(self._rejected), services))

    def trouble(self, reason: str | None, topics: Set[str]) -> None:
        """Note why the source cannot be read; None: it can. ``topics`` are told once each."""
        if reason != self._trouble:
            is_news = not (topics and topics <= self._trouble_topics)
            self._tell(events.SourceTrouble(reason, is_news=is_news))
        self._trouble, self._trouble_topics = reason, topics

    # What the views tell

    def view_changed(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]]
    ) -> None:
        """Note that the view of a group has a new generation, and what changed in it."""
        documents = {origin.document for origins in services.values() for origin in origins}
        self._streams.view_changed(group, generation, documents, self._now())
        self._touch(documents)

    def checking(self, service: ServiceId, documents: Iterable[DocumentId], *, on: bool) -> None:
        """Note whether a version of a service, from some documents, is checked before it is served."""
        if (service in self._checking) is on:
            return
        if on:
            self._checking.add(service)
        else:
            self._checking.discard(service)
        self._touch(documents)

    def quarantined(self, quarantine: Quarantine) -> None:
        """Note that a version of a service is served to nobody from now on."""
        if self._quarantines.get(quarantine.service) == quarantine:
            return
        self._quarantines[quarantine.service] = quarantine
        self._tell(events.ServiceQuarantined(quarantine))
        self._touch(origin.document for origin in quarantine.origins)

    def quarantine_lifted(self, service: ServiceId) -> None:
        """Note that a quarantined service has a new version."""
        if quarantine := self._quarantines.pop(service, None):
            self._tell(events.QuarantineLifted(service))
            self._touch(origin.document for origin in quarantine.origins)

    # What the server tells (``Observer``)

    def opened(self, stream: StreamInfo) -> None:
        """Note that a stream was opened."""
        self._streams.open(stream, self._group_of(stream.node), self._now())
        self._tell(events.StreamOpened(stream))

    def closed(self, stream: StreamInfo) -> None:
        """Note that a stream ended."""
        self._touch(self._streams.close(stream))
        self._tell(events.StreamClosed(stream))

    def answered(self, stream: StreamInfo, event: Event) -> None:
        """Note that a client acknowledged or rejected a response."""
        match event:
            case Acked(type_url, changes) as acked:
                refs = (Ref(type_url, name) for name in changes)
                self._touch(self._streams.acknowledged(stream, refs))
                self._tell(events.PushAcknowledged(stream, acked))
            case Rejected():
                self._touch(self._streams.rejected(stream, dict(self._rejections(stream, event))))
                self._tell(events.PushRejected(stream, event, blamed(event)))

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        """Note that a client has all of its view up to a generation, but for what it rejected."""
        self._touch(self._streams.in_step(stream, generation, rejected))

    def _rejections(self, stream: StreamInfo, event: Rejected) -> Iterator[tuple[Ref, Rejection]]:
        now = self._now()
        for name, change in event.changes.items():
            ref = Ref(event.type_url, name)
            origins = changed_origins(*change)
            yield ref, Rejection(stream.node.id, ref, origins, event.reason.message, now)

    def _quarantine(self, record: _DocumentRecord) -> Quarantine | None:
        found = (self._quarantines.get(service) for service in sorted(record.services))
        return next((quarantine for quarantine in found if quarantine), None)

    def _state(
        self, document: DocumentId, record: _DocumentRecord, quarantine: Quarantine | None, *, behind: bool
    ) -> DocumentState:
        if record.standing.waits:
            return DocumentState.WAITING
        if document in self._rejected:
            return DocumentState.REJECTED
        if quarantine:
            return DocumentState.QUARANTINED
        behind = behind or not self._checking.isdisjoint(record.services)
        return DocumentState.PROGRAMMING if behind else DocumentState.PROGRAMMED

    def _touch(self, documents: Iterable[DocumentId]) -> None:
        if self._feeds and (changed := set(documents)):
            for feed in self._feeds:
                feed.add(changed)

    def _tell(self, event: events.StatusEvent) -> None:
        for sink in self._sinks:
            sink(event)
