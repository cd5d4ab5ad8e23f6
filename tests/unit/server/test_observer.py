"""What the log says of streams, and of which documents a NACK concerns."""

import pytest
from structlog.testing import capture_logs

from xds.cache import Resource
from xds.protocol import Change, Rejected
from xds.server import LogObserver, Peer, StreamInfo
from xds.type_urls import CLUSTER, ROUTE
from xds.wire import Node, Status

STREAM = StreamInfo(Node(id="proxy-1", cluster="edge"), Peer("ipv4:127.0.0.1:1"), "ADS/Delta")
REASON = Status(3, "no")


def resource(*origins: str, content: bytes = b"") -> Resource:
    return Resource.of(ROUTE, "r", content, origins=origins)


def logged(event: Rejected) -> dict[str, object]:
    with capture_logs() as entries:
        LogObserver().answered(STREAM, event)
    [entry] = entries
    return {**entry}


def test_streams_are_logged_from_begin_to_end() -> None:
    with capture_logs() as entries:
        LogObserver().opened(STREAM)
        LogObserver().closed(STREAM)
    assert [(entry["event"], entry["node"], entry["peer"]) for entry in entries] == [
        ("client connected", "proxy-1", "ipv4:127.0.0.1:1"),
        ("client disconnected", "proxy-1", "ipv4:127.0.0.1:1"),
    ]


@pytest.mark.parametrize(
    ("held", "sent", "concerned"),
    [
        pytest.param(None, ["a"], ["a"], id="a new resource"),
        pytest.param(["a"], ["a"], ["a"], id="nothing new"),
        pytest.param(["a1", "b"], ["a2", "b"], ["a2"], id="one of two services changed"),
        pytest.param(["a1", "b1"], ["a2", "b2"], ["a2", "b2"], id="two changes merged"),
    ],
)
def test_a_rejection_concerns_what_the_client_did_not_hold(
    held: list[str] | None, sent: list[str], concerned: list[str]
) -> None:
    before = None if held is None else resource(*held)
    change = Change(before, resource(*sent, content=b"later"))
    entry = logged(Rejected(ROUTE, {"r": change}, REASON))
    assert (entry["log_level"], entry["concerns"], entry["reason"]) == ("error", concerned, "no")


def test_a_removal_concerns_nothing() -> None:
    entry = logged(Rejected(ROUTE, {"r": Change(resource("a"), None)}, REASON))
    assert (entry["resources"], entry["concerns"]) == (["r"], [])


def test_a_rejection_of_everything_is_cut_short() -> None:
    names = [f"c{number:02}" for number in range(30)]
    changes = {name: Change(None, Resource.of(CLUSTER, name, b"")) for name in names}
    assert logged(Rejected(CLUSTER, changes, REASON))["resources"] == [*names[:20], "and 10 more"]
