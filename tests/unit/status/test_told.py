"""What people are told: a line of the log for each event, and the status as documents and API show it."""

from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from xds.cache import Ref
from xds.documents import DocumentId, Origin
from xds.documents.problem import Problem, Severity
from xds.protocol import Acked, Rejected
from xds.protocol.events import Change
from xds.rules.instance import ServiceId
from xds.server import Peer, StreamInfo
from xds.status import DocumentState, LogSink, StatusEvent, events
from xds.status.model import (
    Behind,
    DocumentStatus,
    NodeStatus,
    ProxyCount,
    Quarantine,
    Rejection,
)
from xds.type_urls import CLUSTER
from xds.wire import Node, Status

DOCUMENT, SERVICE = DocumentId("", "a.yaml"), ServiceId("", "a")
ORIGINS = (Origin(DOCUMENT, "r2"),)
STREAM = StreamInfo(
    Node(id="edge-1", cluster="edge", user_agent_version="1.40.0"), Peer("ipv4:192.0.2.1:1"), "ADS"
)
WHO = {"node": "edge-1", "group": "edge", "peer": "ipv4:192.0.2.1:1"}
ERROR = Problem("a.yaml", 3, 7, "http[0].route", "no such subset", "stable, gray")
WARNING = Problem("a.yaml", 0, 0, "http[0]", "never matches", severity=Severity.WARNING)
MANY = {f"c{number:02}": Change(None, None) for number in range(25)}
REJECTED = Rejected(CLUSTER, MANY, Status(13, "no such thing"))
REJECTION = Rejection("edge-1", Ref(CLUSTER, "a"), frozenset(ORIGINS), "no such thing", 60.0)
QUARANTINE = Quarantine(SERVICE, ORIGINS, "edge-1", "no such thing", 60.0, "r1", 3)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            events.StreamOpened(STREAM),
            {"event": "client connected", "log_level": "info", **WHO, "version": "1.40.0"},
        ),
        (events.StreamClosed(STREAM), {"event": "client disconnected", "log_level": "info", **WHO}),
        (
            events.PushRejected(STREAM, REJECTED, frozenset(ORIGINS)),
            {
                "event": "client rejected a push and keeps what it had",
                "log_level": "error",
                **WHO,
                "type": "Cluster",
                "resources": [*list(MANY)[:20], "and 5 more"],
                "concerns": ["a.yaml"],
                "reason": "no such thing",
            },
        ),
        (
            events.ProblemFound(DOCUMENT, ERROR),
            {
                "event": "rule problem",
                "log_level": "error",
                "document": "a.yaml",
                "line": 3,
                "column": 7,
                "field": "http[0].route",
                "problem": "no such subset",
                "hint": "stable, gray",
            },
        ),
        (
            events.ProblemFound(DOCUMENT, WARNING),
            {
                "event": "rule problem",
                "log_level": "warning",
                "document": "a.yaml",
                "line": 0,
                "column": 0,
                "field": "http[0]",
                "problem": "never matches",
                "hint": "",
            },
        ),
        (
            events.DocumentApplied(DOCUMENT, "r2", (SERVICE,)),
            {
                "event": "rule document applied",
                "log_level": "info",
                "document": "a.yaml",
                "services": ["a"],
                "revision": "r2",
            },
        ),
        (
            events.DocumentRejected(DOCUMENT, waits=False),
            {
                "event": "rule document rejected: the last good version stays in force",
                "log_level": "error",
                "document": "a.yaml",
            },
        ),
        (
            events.DocumentRejected(DOCUMENT, waits=True),
            {
                "event": "rule document waits for another: the last good version stays in force",
                "log_level": "error",
                "document": "a.yaml",
            },
        ),
        (
            events.DocumentDeleted(DOCUMENT, (SERVICE,)),
            {
                "event": "rule document deleted",
                "log_level": "info",
                "document": "a.yaml",
                "services": ["a"],
            },
        ),
        (
            events.ServiceHidden(SERVICE),
            {
                "event": "service left out: its name is no domain, or another service has it",
                "log_level": "warning",
                "service": "a",
                "hint": "call it otherwise: `aliases` in its rule document, or the setting mesh_names",
            },
        ),
        (
            events.ServingSnapshot(7),
            {
                "event": "the source has not answered yet: serving the last known good",
                "log_level": "warning",
                "services": 7,
            },
        ),
        (
            events.InStepWithSource(3, 1, 7),
            {
                "event": "in step with the source",
                "log_level": "info",
                "documents": 3,
                "rejected": 1,
                "services": 7,
                "server": "n1",
            },
        ),
        (
            events.SourceTrouble("no answer"),
            {
                "event": "source in trouble: what it last said stays in force",
                "log_level": "warning",
                "reason": "no answer",
            },
        ),
        (
            events.SourceTrouble("no answer", is_news=False),
            {
                "event": "source in trouble: what it last said stays in force",
                "log_level": "debug",
                "reason": "no answer",
            },
        ),
        (events.SourceTrouble(None), {"event": "source is well again", "log_level": "info", "server": "n1"}),
        (
            events.ServiceQuarantined(QUARANTINE),
            {
                "event": "quarantined: a client rejected it, the last acknowledged version is served to all",
                "log_level": "error",
                "service": "a",
                "documents": ["a.yaml"],
                "revisions": ["r2"],
                "line": 3,
                "node": "edge-1",
                "reason": "no such thing",
            },
        ),
        (
            events.QuarantineLifted(SERVICE),
            {
                "event": "quarantine lifted: the service has a new version",
                "log_level": "info",
                "service": "a",
            },
        ),
    ],
)
def test_each_event_is_a_line_of_the_log(event: StatusEvent, expected: dict[str, Any]) -> None:
    sink = LogSink(lambda: {"server": "n1"})
    with capture_logs() as lines:
        sink(event)
    assert lines == [expected]


@pytest.mark.parametrize(("level", "lines"), [(10, 1), (20, 0)])
def test_acknowledgements_are_told_to_who_debugs(level: int, lines: int) -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=False
    )
    try:
        with capture_logs() as told:
            LogSink()(events.PushAcknowledged(STREAM, Acked(CLUSTER, MANY)))
    finally:
        structlog.reset_defaults()
    expected = {"event": "acknowledged", "log_level": "debug", **WHO, "type": "Cluster", "count": 25}
    assert told == [expected] * lines


def test_the_status_of_a_document() -> None:
    status = DocumentStatus(
        DOCUMENT,
        "r2",
        "r1",
        DocumentState.QUARANTINED,
        (ERROR, WARNING),
        (SERVICE,),
        ProxyCount(1, 2, (Behind("edge-1", 60.0),)),
        (REJECTION,),
        QUARANTINE,
        120.0,
    )
    assert status.as_dict() == {
        "document": "a.yaml",
        "revision": "r2",
        "state": "Quarantined",
        "problems": [
            {
                "severity": "error",
                "line": 3,
                "column": 7,
                "field": "http[0].route",
                "problem": "no such subset",
                "hint": "stable, gray",
            },
            {"severity": "warning", "field": "http[0]", "problem": "never matches"},
        ],
        "inForce": "r1",
        "quarantine": {
            "service": "a",
            "rejectedBy": "edge-1",
            "reason": "no such thing",
            "since": "1970-01-01T00:01:00+00:00",
            "line": 3,
        },
        "proxies": {"programmed": 1, "of": 2, "behind": ["edge-1"]},
        "rejections": [
            {
                "node": "edge-1",
                "type": "Cluster",
                "resource": "a",
                "documents": ["a.yaml"],
                "reason": "no such thing",
                "at": "1970-01-01T00:01:00+00:00",
            }
        ],
        "at": "1970-01-01T00:02:00+00:00",
    }


def test_what_is_well_is_told_in_few_words() -> None:
    status = DocumentStatus(
        DOCUMENT, "r2", "r2", DocumentState.PROGRAMMED, (), (SERVICE,), ProxyCount(2, 2), (), None, 0.0
    )
    assert status.as_dict() == {
        "document": "a.yaml",
        "revision": "r2",
        "state": "Programmed",
        "proxies": {"programmed": 2, "of": 2},
        "at": "1970-01-01T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("in_step", "since", "told"), [(True, None, None), (False, 60.0, "1970-01-01T00:01:00+00:00")]
)
def test_the_status_of_a_node(in_step: bool, since: float | None, told: str | None) -> None:
    status = NodeStatus(
        "edge-1", "edge", "edge", "dev", "192.0.2.1", "1.40.0", "ADS", 0.0, in_step, since, (REJECTION,)
    )
    [rejection] = status.as_dict()["rejections"]
    assert status.as_dict() == {
        "node": "edge-1",
        "cluster": "edge",
        "role": "edge",
        "namespace": "dev",
        "peer": "192.0.2.1",
        "version": "1.40.0",
        "method": "ADS",
        "since": "1970-01-01T00:00:00+00:00",
        "inStep": in_step,
        "behindSince": told,
        "rejections": [rejection],
    }
