"""Follows edits of documents from the source to the last acknowledgement, as a sink of the status.

It keeps no clock and does no I/O: what became of an edit is handed on as an ``EditTrace`` once it is over.
What it costs is bounded: so many edits at a time, and for each one a few numbers by resource type.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from xds.documents import DocumentId, Revision
from xds.protocol import Acked, Rejected
from xds.rules.instance import ServiceId
from xds.status import events
from xds.status.blame import changed_origins
from xds.status.events import EditStage
from xds.status.model import DocumentState, DocumentStatus
from xds.type_urls import short

MOST_EDITS = 100
"""Edits that are followed at a time; others are put in force all the same, and leave no trace."""

LONGEST = 600.0
"""Seconds after which an edit is over though some proxies have not acknowledged it."""

_LONGEST_REASON = 500
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an edit's way, in seconds since the epoch. ``error`` is why it went wrong; '': it did not."""

    name: str
    start: float
    end: float
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class EditTrace:
    """One edit that is over: from when the source reported it, with its spans in order."""

    document: DocumentId
    revision: Revision | None
    services: tuple[ServiceId, ...]
    outcome: str
    start: float
    end: float
    spans: tuple[Span, ...]
    error: str = ""
    proxies: tuple[int, int] = (0, 0)
    """How many have it, of how many that see it."""


@dataclass(slots=True)
class _Answers:
    """What clients answered to one resource type of one revision."""

    acknowledged: int = 0
    rejected: int = 0
    last: float = 0.0
    reason: str = ""


@dataclass(slots=True)
class _Edit:
    """An edit that is under way."""

    seen: float
    taken: float
    reached: dict[EditStage, float] = field(default_factory=dict)
    revision: Revision | None = None
    services: tuple[ServiceId, ...] = ()
    in_force: float | None = None
    # By revision and resource type. Written by ``_answered``.
    answers: dict[tuple[Revision, str], _Answers] = field(default_factory=dict)


class Edits:
    """The edits that are under way (``xds.status.Sink``). ``ended`` is told of each that is over.

    ``look`` is to be called now and then, while ``under_way``: it finds what all proxies have. ``clock``
    gives the seconds since the epoch.
    """

    def __init__(self, ended: Callable[[EditTrace], None], clock: Callable[[], float]) -> None:
        self._ended = ended
        self._clock = clock
        # Documents of the batch that the pipeline works on; then, until they are over, those in force.
        self._edits: dict[DocumentId, _Edit] = {}
        # Those of them that the pipeline works on. Written by ``_take``.
        self._batch: tuple[DocumentId, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether any edit is followed."""
        return bool(self._edits)

    def __call__(self, event: events.StatusEvent) -> None:
        """Take an event."""
        match event:
            case events.EditsTaken(seen):
                self._take(seen)
            case events.PushAcknowledged() | events.PushRejected() if self._edits:
                self._answered(event.event)
            case _ if self._edits:
                self._progress(event)
            case _:
                pass

    def look(self, status_of: Callable[[DocumentId], DocumentStatus | None]) -> None:
        """Find the edits that are over by now."""
        now = self._clock()
        for document, edit in tuple(self._edits.items()):
            if edit.in_force is None:
                continue
            status = status_of(document)
            if status is None:
                self._over(document, "deleted")
            elif status.state is DocumentState.PROGRAMMED:
                self._over(document, "programmed", status)
            elif status.state is DocumentState.QUARANTINED:
                reason = status.quarantine.reason if status.quarantine else ""
                self._over(document, "quarantined", status, reason)
            elif now - edit.taken > LONGEST:
                self._over(document, "behind", status, "some proxies have not acknowledged it")

    def _progress(self, event: events.StatusEvent) -> None:
        match event:
            case events.StageReached(stage):
                now = self._clock()
                for edit in self._of_batch():
                    edit.reached[stage] = now
            case events.DocumentApplied(document, revision, services):
                self._in_force(document, revision, services)
            case events.DocumentRejected(document, waits):
                why = "it conflicts with another document" if waits else "it has errors"
                self._over(document, "waiting" if waits else "rejected", error=why)
            case events.DocumentDeleted(document, services):
                self._in_force(document, None, services)
                self._over(document, "deleted")
            case _:
                pass

    def _in_force(
        self, document: DocumentId, revision: Revision | None, services: tuple[ServiceId, ...]
    ) -> None:
        if edit := self._edits.get(document):
            edit.revision, edit.services, edit.in_force = revision, services, self._clock()

    def _take(self, seen: Mapping[DocumentId, float]) -> None:
        for document in self._batch:  # reported, and the text was what it had been
            if (edit := self._edits.get(document)) and edit.in_force is None:
                del self._edits[document]
        now = self._clock()
        for document, at in seen.items():
            if document in self._edits:
                self._over(document, "superseded")
            if len(self._edits) < MOST_EDITS:
                self._edits[document] = _Edit(min(at, now), now)
        self._batch = tuple(seen)

    def _of_batch(self) -> Iterator[_Edit]:
        found = (self._edits.get(document) for document in self._batch)
        return (edit for edit in found if edit and edit.in_force is None)

    def _answered(self, event: Acked | Rejected) -> None:
        now, kind = self._clock(), short(event.type_url)
        origins = {origin for change in event.changes.values() for origin in changed_origins(*change)}
        for document, revision in origins:
            if edit := self._edits.get(document):
                answers = edit.answers.setdefault((revision, kind), _Answers())
                answers.last = now
                if isinstance(event, Acked):
                    answers.acknowledged += 1
                else:
                    answers.rejected += 1
                    answers.reason = event.reason.message[:_LONGEST_REASON]

    def _over(
        self, document: DocumentId, outcome: str, status: DocumentStatus | None = None, error: str = ""
    ) -> None:
        edit = self._edits.pop(document, None)
        if edit is None:
            return
        pushes = tuple(_pushes(edit))
        now = self._clock()
        end = max((push.end for push in pushes), default=edit.in_force or now)
        proxies = (status.proxies.programmed, status.proxies.of) if status else (0, 0)
        end = end if outcome in {"programmed", "deleted"} else now
        spans = (*_stages(edit, end), *pushes)
        self._ended(
            EditTrace(
                document,
                edit.revision,
                edit.services[:_NAMED],
                outcome,
                edit.seen,
                end,
                spans,
                error[:_LONGEST_REASON],
                proxies,
            )
        )


def _stages(edit: _Edit, end: float) -> Iterator[Span]:
    """Yield a span for each thing that Grayplane itself did, in order."""
    yield Span("read", edit.seen, edit.taken)
    start = edit.taken
    last = ((EditStage.PARSED, "parse"), (EditStage.COMPILED, "compile"))
    for stage, name in last:
        if (at := edit.reached.get(stage)) is not None:
            yield Span(name, start, at)
            start = at
    if edit.in_force is not None:
        yield Span("put in cache", start, min(edit.in_force, end))


def _pushes(edit: _Edit) -> Iterator[Span]:
    """Yield a span for each resource type: until the last client acknowledged or rejected it."""
    if edit.in_force is None:
        return
    for (revision, kind), answers in sorted(edit.answers.items()):
        if revision == edit.revision:
            start = min(edit.reached.get(EditStage.COMPILED, edit.in_force), answers.last)
            counts = {"grayplane.acknowledged": answers.acknowledged, "grayplane.rejected": answers.rejected}
            yield Span(f"push {kind}", start, answers.last, counts, answers.reason)
