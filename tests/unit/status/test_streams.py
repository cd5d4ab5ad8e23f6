"""How streams keep up with their views."""

import pytest

from xds.cache import Ref
from xds.documents import DocumentId, Origin
from xds.server import Peer, StreamInfo
from xds.status.model import Behind, NodeStatus, Rejection
from xds.status.streams import Streams
from xds.type_urls import CLUSTER
from xds.views import EdgeGroup, GrpcClientGroup, NodeGroup, SidecarGroup
from xds.views.node_group import UnknownNode
from xds.wire import Node

A, B = DocumentId("", "a.yaml"), DocumentId("", "b.yaml")
GROUP = EdgeGroup("edge", "dev")
NOTHING = frozenset[Ref]()


def stream(node: str) -> StreamInfo:
    return StreamInfo(
        Node(id=node, cluster="edge", user_agent_version="1.40.0"), Peer("ipv4:192.0.2.1:1"), "ADS"
    )


def rejection(node: str, name: str, *documents: DocumentId, at: float = 5.0) -> Rejection:
    origins = frozenset(Origin(document, "r1") for document in documents)
    return Rejection(node, Ref(CLUSTER, name), origins, "no", at)


@pytest.mark.parametrize(
    ("group", "role", "namespace"),
    [
        (EdgeGroup("edge", "dev"), "edge", "dev"),
        (SidecarGroup("orders"), "sidecar", ""),
        (GrpcClientGroup("orders", "dev"), "grpc-client", "dev"),
        (UnknownNode("no role"), "unknown", ""),
    ],
)
def test_the_status_of_a_stream_says_who_it_is(group: NodeGroup, role: str, namespace: str) -> None:
    streams = Streams()
    streams.open(stream("one"), group, now=7.0)
    expected = NodeStatus(
        node="one",
        cluster="edge",
        role=role,
        namespace=namespace,
        peer="ipv4:192.0.2.1:1",
        version="1.40.0",
        method="ADS",
        since=7.0,
        in_step=False,
        behind_since=7.0,
        rejections=(),
    )
    assert list(streams.nodes()) == [expected]


def test_a_stream_that_rejected_something_is_not_in_step() -> None:
    streams, one = Streams(), stream("one")
    streams.open(one, GROUP, now=0.0)
    rejected = rejection("one", "a", A)
    assert streams.rejected(one, {rejected.resource: rejected}) == {A}
    streams.in_step(one, 1, {rejected.resource})
    [node] = streams.nodes()
    assert (node.in_step, node.behind_since, node.rejections) == (False, None, (rejected,))
    assert streams.acknowledged(one, [rejected.resource]) == {A}
    [node] = streams.nodes()
    assert (node.in_step, node.rejections) == (True, ())


@pytest.mark.parametrize("ends", ["in step", "closed"])
def test_what_was_counted_while_a_stream_was_new_is_told_once_it_has_it(ends: str) -> None:
    streams, one = Streams(), stream("one")
    streams.open(one, GROUP, now=0.0)
    count = streams.count(A, [GROUP])
    assert (count.programmed, count.of) == (0, 1)
    assert (streams.in_step(one, 1, NOTHING) if ends == "in step" else streams.close(one)) == {A}
    count = streams.count(A, [GROUP])
    assert count.programmed == count.of
    assert streams.moved() == set()


def test_a_rejection_concerns_all_documents_that_may_be_at_fault() -> None:
    streams, one, other = Streams(), stream("one"), stream("other")
    for each in (one, other):
        streams.open(each, GROUP, now=0.0)
    both, mine = rejection("one", "x", A, B, at=9.0), rejection("other", "x", A, at=4.0)
    assert streams.rejected(one, {both.resource: both}) == {A, B}
    assert streams.rejected(other, {mine.resource: mine}) == {A}
    assert streams.rejections(A) == (mine, both)
    assert streams.rejections(B) == (both,)
    assert streams.close(one) == {A, B}
    assert streams.rejections(A) == (mine,)
    assert streams.rejections(B) == ()


def test_a_rejection_takes_the_place_of_the_one_before() -> None:
    streams, one = Streams(), stream("one")
    streams.open(one, GROUP, now=0.0)
    before, after = rejection("one", "x", A), rejection("one", "x", B)
    streams.rejected(one, {before.resource: before})
    assert streams.rejected(one, {after.resource: after}) == {A, B}
    assert (streams.rejections(A), streams.rejections(B)) == ((), (after,))


def test_ten_of_those_behind_are_named_and_all_are_counted() -> None:
    streams, late = Streams(), [stream(f"n{number:02}") for number in range(25)]
    for number, each in enumerate(late):
        streams.open(each, GROUP, now=float(number))
    streams.view_changed(GROUP, 1, [A], now=100.0)
    count = streams.count(A, [GROUP])
    assert (count.programmed, count.of) == (0, 25)
    assert count.behind == tuple(Behind(f"n{number:02}", float(number)) for number in range(10))


def test_a_node_that_refused_is_behind_since_it_first_refused() -> None:
    streams, one = Streams(), stream("one")
    streams.open(one, GROUP, now=0.0)
    streams.view_changed(GROUP, 1, [A], now=1.0)
    later, first = rejection("one", "x", A, at=8.0), rejection("one", "y", A, at=3.0)
    streams.rejected(one, {later.resource: later, first.resource: first})
    streams.in_step(one, 1, {later.resource, first.resource})
    count = streams.count(A, [GROUP])
    assert (count.programmed, count.of, count.behind) == (0, 1, (Behind("one", 3.0),))


def test_a_group_that_is_served_an_earlier_version_has_nothing_of_a_document() -> None:
    streams, one = Streams(), stream("one")
    streams.open(one, GROUP, now=0.0)
    streams.in_step(one, 1, NOTHING)
    assert streams.count(A, [GROUP, EdgeGroup("nobody")]).programmed == 1
    count = streams.count(A, [GROUP], before={GROUP})
    assert (count.programmed, count.of, [each.node for each in count.behind]) == (0, 1, ["one"])


def test_what_moved_is_asked_once() -> None:
    streams, one, other = Streams(), stream("one"), stream("other")
    for each in (one, other):
        streams.open(each, GROUP, now=0.0)
    streams.view_changed(GROUP, 1, [A, B], now=1.0)
    assert streams.moved() == {A, B}
    assert streams.moved() == set()
    streams.in_step(one, 1, NOTHING)
    assert streams.moved() == {A, B}
    assert streams.in_step(other, 1, NOTHING) == {A, B}
    assert streams.moved() == set(), "all have everything: nothing is pending"
