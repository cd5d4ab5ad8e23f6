"""How edits are followed: what each of their ends is called, and that what it costs is bounded."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xds.cache import Resource
from xds.documents import DocumentId, Origin
from xds.protocol import Acked, Change, Rejected
from xds.rules.instance import ServiceId
from xds.server import StreamInfo
from xds.server.observer import Peer
from xds.status import (
    DocumentState,
    DocumentStatus,
    Edits,
    EditStage,
    EditTrace,
    ProxyCount,
    Quarantine,
    events,
)
from xds.status.edits import LONGEST, MOST_EDITS
from xds.type_urls import CLUSTER, ROUTE
from xds.wire import Node, Status

DOCUMENT, SERVICE = DocumentId("", "reviews.yaml"), ServiceId("", "reviews")
STREAM = StreamInfo(Node(id="edge-1"), Peer("ipv4:127.0.0.1:1"), "ADS")


@dataclass
class Followed:
    """Edits with a clock that goes on by a second at each look at it."""

    now: float = 100.0
    ended: list[EditTrace] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.edits = Edits(self.ended.append, self._tick)

    def _tick(self) -> float:
        self.now += 1
        return self.now

    def apply(self, revision: str, document: DocumentId = DOCUMENT) -> None:
        """Have an edit parsed, compiled and put in the cache."""
        self.edits(events.EditsTaken({document: self.now}))
        for stage in EditStage:
            self.edits(events.StageReached(stage))
        self.edits(events.DocumentApplied(document, revision, (SERVICE,)))

    def acknowledge(self, revision: str, type_url: str = ROUTE) -> None:
        self.edits(events.PushAcknowledged(STREAM, Acked(type_url, changes(revision, type_url))))

    def look(self, state: DocumentState, quarantine: Quarantine | None = None) -> None:
        self.edits.look(lambda document: status(document, state, quarantine))


def changes(revision: str, type_url: str) -> Mapping[str, Change]:
    sent = Resource.of(type_url, "edge", revision.encode(), origins=(Origin(DOCUMENT, revision),))
    return {"edge": Change(None, sent)}


def status(
    document: DocumentId, state: DocumentState, quarantine: Quarantine | None = None
) -> DocumentStatus:
    return DocumentStatus(
        document=document,
        revision="r1",
        in_force="r1",
        state=state,
        problems=(),
        services=(SERVICE,),
        proxies=ProxyCount(2, 3),
        rejections=(),
        quarantine=quarantine,
        at=0.0,
    )


def test_an_edit_ends_with_the_last_acknowledgement_of_any_type() -> None:
    it = Followed()
    it.apply("r1")
    for type_url in (CLUSTER, CLUSTER, ROUTE):
        it.acknowledge("r1", type_url)
    last = it.now
    it.look(DocumentState.PROGRAMMING)
    assert not it.ended
    it.look(DocumentState.PROGRAMMED)
    [trace] = it.ended
    assert (trace.document, trace.revision, trace.outcome) == (DOCUMENT, "r1", "programmed")
    assert (trace.start, trace.end, trace.proxies) == (100.0, last, (2, 3))
    assert [span.name for span in trace.spans] == [
        "read",
        "parse",
        "compile",
        "put in cache",
        "push Cluster",
        "push RouteConfiguration",
    ]
    assert trace.spans[4].attributes == {"grayplane.acknowledged": 2, "grayplane.rejected": 0}
    ends = [span.end for span in trace.spans]
    assert ends == sorted(ends)
    assert not it.edits.under_way


def test_what_is_acknowledged_of_another_revision_is_none_of_it() -> None:
    it = Followed()
    it.apply("r2")
    it.acknowledge("r1", CLUSTER)
    it.acknowledge("r2")
    it.look(DocumentState.PROGRAMMED)
    assert [span.name for span in it.ended[0].spans if "push" in span.name] == ["push RouteConfiguration"]


def test_a_rejection_is_in_the_trace() -> None:
    it = Followed()
    it.apply("r1")
    reason = Status(code=3, message="no such cluster" + "!" * 10_000)
    rejected = Rejected(ROUTE, changes("r1", ROUTE), reason)
    it.edits(events.PushRejected(STREAM, rejected, frozenset()))
    quarantine = Quarantine(SERVICE, (), "edge-1", "no such cluster", 0.0)
    it.look(DocumentState.QUARANTINED, quarantine)
    [trace] = it.ended
    assert (trace.outcome, trace.error) == ("quarantined", "no such cluster")
    assert trace.spans[-1].error.startswith("no such cluster!")
    assert len(trace.spans[-1].error) == 500


def test_other_ends() -> None:
    it = Followed()
    it.edits(events.EditsTaken({DOCUMENT: it.now}))
    it.edits(events.DocumentRejected(DOCUMENT, waits=False))
    it.edits(events.EditsTaken({DOCUMENT: it.now}))
    it.edits(events.DocumentRejected(DOCUMENT, waits=True))
    it.edits(events.EditsTaken({DOCUMENT: it.now}))
    it.edits(events.DocumentDeleted(DOCUMENT, (SERVICE,)))
    it.apply("r1")
    it.apply("r2")
    it.edits.look(lambda _: None)
    it.apply("r3")
    it.now += LONGEST
    it.look(DocumentState.PROGRAMMING)
    assert [trace.outcome for trace in it.ended] == [
        "rejected",
        "waiting",
        "deleted",
        "superseded",
        "deleted",
        "behind",
    ]
    assert not it.edits.under_way


def test_a_text_that_did_not_change_leaves_no_trace() -> None:
    it = Followed()
    it.edits(events.EditsTaken({DOCUMENT: it.now}))
    it.edits(events.EditsTaken({DocumentId("", "ratings.yaml"): it.now}))
    it.look(DocumentState.PROGRAMMED)
    assert not it.ended


def test_more_edits_than_are_followed_leave_no_trace() -> None:
    it = Followed()
    for number in range(MOST_EDITS + 10):
        it.apply("r1", DocumentId("", f"{number}.yaml"))
    it.look(DocumentState.PROGRAMMED)
    assert len(it.ended) == MOST_EDITS
