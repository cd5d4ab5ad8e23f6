"""What the read model answers after what it was told."""

import pytest

from xds.cache import Ref, Resource, View
from xds.documents import DocumentId, Origin
from xds.documents.problem import Problem
from xds.protocol import DELTA, Acked, Rejected, Stream
from xds.protocol.events import Change
from xds.rules.instance import ServiceId
from xds.rules.store import Standing
from xds.server import Peer, StreamInfo
from xds.status import DocumentState, Status, StatusEvent, blamed
from xds.status.events import PushRejected
from xds.type_urls import CLUSTER, ROUTE
from xds.views import EdgeGroup
from xds.wire import DeltaRequest, Node
from xds.wire import Status as RpcStatus

A, B = DocumentId("", "a.yaml"), DocumentId("", "b.yaml")
GROUP = EdgeGroup("edge")
NOTHING = frozenset[Ref]()


def route(version: str, *origins: Origin) -> Resource:
    return Resource.of(ROUTE, "edge", version.encode(), origins=origins)


class World:
    """A read model whose clock and whose writers are the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[StatusEvent] = []
        self.status = Status([self.events.append], lambda _: [GROUP], lambda: self.now)

    def stream(self, node: str) -> StreamInfo:
        info = StreamInfo(Node(id=node, cluster="edge"), Peer("ipv4:127.0.0.1:1"), "ADS")
        self.status.opened(info)
        return info

    def put_in_force(self, document: DocumentId, revision: str, generation: int) -> None:
        service = ServiceId("", document.name.removesuffix(".yaml"))
        self.status.documents_changed({}, {document: Standing(revision, revision, waits=False)})
        self.status.compiled(service, (), (Origin(document, revision),))
        self.status.view_changed(GROUP, generation, {service: {Origin(document, revision)}})
        self.status.in_force(document, (service,))

    def state(self, document: DocumentId) -> DocumentState:
        found = self.status.document(document)
        assert found
        return found.state

    def programmed(self, document: DocumentId) -> tuple[int, int, list[str]]:
        found = self.status.document(document)
        assert found
        return found.proxies.programmed, found.proxies.of, [one.node for one in found.proxies.behind]


@pytest.fixture
def world() -> World:
    return World()


def test_a_document_is_programmed_once_every_stream_has_it(world: World) -> None:
    one, other = world.stream("one"), world.stream("other")
    for stream in (one, other):
        world.status.in_step(stream, 1, NOTHING)
    world.put_in_force(A, "r1", generation=2)
    world.put_in_force(B, "r1", generation=3)
    assert world.state(A) is DocumentState.PROGRAMMING
    assert world.programmed(A) == (0, 2, ["one", "other"])
    world.status.in_step(one, 2, NOTHING)
    assert world.programmed(A) == (1, 2, ["other"])
    assert world.programmed(B) == (0, 2, ["other", "one"])
    world.status.in_step(one, 3, NOTHING)
    world.status.in_step(other, 3, NOTHING)
    assert world.state(A) is world.state(B) is DocumentState.PROGRAMMED
    world.put_in_force(A, "r2", generation=4)
    assert world.state(A) is DocumentState.PROGRAMMING
    assert world.state(B) is DocumentState.PROGRAMMED


def test_what_a_stream_waits_for_ends_with_the_stream(world: World) -> None:
    one, other = world.stream("one"), world.stream("other")
    world.put_in_force(A, "r1", generation=1)
    world.status.in_step(one, 1, NOTHING)
    assert world.state(A) is DocumentState.PROGRAMMING
    world.status.closed(other)
    assert world.state(A) is DocumentState.PROGRAMMED
    assert world.programmed(A) == (1, 1, [])


def test_a_new_stream_has_nothing_until_it_is_in_step(world: World) -> None:
    world.put_in_force(A, "r1", generation=1)
    assert world.programmed(A) == (0, 0, [])
    stream = world.stream("one")
    assert world.programmed(A) == (0, 1, ["one"])
    world.status.in_step(stream, 1, NOTHING)
    assert world.programmed(A) == (1, 1, [])


def test_a_node_with_several_streams_has_what_all_of_them_have(world: World) -> None:
    clusters, routes = world.stream("one"), world.stream("one")
    world.put_in_force(A, "r1", generation=1)
    world.status.in_step(clusters, 1, NOTHING)
    assert world.programmed(A) == (0, 1, ["one"])
    world.status.in_step(routes, 1, NOTHING)
    assert world.programmed(A) == (1, 1, [])


def test_what_a_node_runs_and_lacks_is_told_by_revision(world: World) -> None:
    """Also of the last of many that are behind: a status names only some of these."""
    streams = [world.stream(f"node-{number:02}") for number in range(30)]
    world.put_in_force(A, "r1", generation=1)

    def of(node: str) -> list[tuple[str, str, bool]]:
        return [(each.document.name, each.revision, each.has) for each in world.status.documents_of(node)]

    assert of("node-29") == [("a.yaml", "r1", False)]
    for stream in streams:
        world.status.in_step(stream, 1, NOTHING)
    assert of("node-29") == [("a.yaml", "r1", True)]
    world.put_in_force(B, "r7", generation=2)
    assert of("node-29") == [("a.yaml", "r1", True), ("b.yaml", "r7", False)]
    world.status.in_step(streams[29], 2, NOTHING)
    assert of("node-29")[1] == ("b.yaml", "r7", True)
    assert of("node-28")[1] == ("b.yaml", "r7", False)
    assert of("nobody") == []


def test_a_node_is_behind_since_its_view_first_changed(world: World) -> None:
    stream = world.stream("one")
    world.status.in_step(stream, 0, NOTHING)
    [node] = world.status.nodes()
    assert (node.in_step, node.behind_since) == (True, None)
    for generation, world.now in ((1, 2000.0), (2, 3000.0)):
        world.put_in_force(A, f"r{generation}", generation)
    [node] = world.status.nodes()
    assert (node.in_step, node.behind_since) == (False, 2000.0)
    status = world.status.document(A)
    assert status
    assert [one.since for one in status.proxies.behind] == [2000.0]


def test_what_a_client_rejected_is_told_until_it_takes_another_version(world: World) -> None:
    stream = world.stream("one")
    world.put_in_force(A, "bad", generation=1)
    good, bad = route("1", Origin(A, "good")), route("2", Origin(A, "bad"))
    event = Rejected(ROUTE, {"edge": Change(good, bad)}, RpcStatus(3, "no such regex"))
    world.status.answered(stream, event)
    world.status.in_step(stream, 1, {Ref(ROUTE, "edge")})
    status = world.status.document(A)
    assert status
    assert [(one.node, one.reason) for one in status.rejections] == [("one", "no such regex")]
    assert world.programmed(A) == (0, 1, ["one"])
    assert world.state(A) is DocumentState.PROGRAMMING
    world.status.answered(stream, Acked(ROUTE, {"edge": Change(good, route("3", Origin(A, "r3")))}))
    status = world.status.document(A)
    assert status
    assert status.rejections == ()
    assert world.programmed(A) == (1, 1, [])


def test_a_rejected_resource_that_is_gone_is_not_told_any_more(world: World) -> None:
    stream = world.stream("one")
    world.put_in_force(A, "bad", generation=1)
    event = Rejected(ROUTE, {"edge": Change(None, route("1", Origin(A, "bad")))}, RpcStatus(3, "bad"))
    world.status.answered(stream, event)
    world.status.in_step(stream, 2, NOTHING)
    status = world.status.document(A)
    assert status
    assert status.rejections == ()


def test_a_rejection_ends_with_its_stream(world: World) -> None:
    stream = world.stream("one")
    world.put_in_force(A, "bad", generation=1)
    event = Rejected(ROUTE, {"edge": Change(None, route("1", Origin(A, "bad")))}, RpcStatus(3, "bad"))
    world.status.answered(stream, event)
    world.status.closed(stream)
    status = world.status.document(A)
    assert status
    assert status.rejections == ()


def test_blame_accumulates_over_merged_changes_until_the_client_acknowledged() -> None:
    view = View()
    stream = Stream(DELTA, view)
    routes = {"a": Origin(A, "r1"), "b": Origin(B, "r1")}

    def put(version: str) -> None:
        view.apply([route(version, *routes.values())])

    view.watch(_Watcher(stream))
    put("1")
    stream.receive(DeltaRequest(type_url=ROUTE, subscribe=("edge",)))
    assert stream.poll(0.0)
    stream.receive(DeltaRequest(type_url=ROUTE, response_nonce="1"))
    routes["a"] = Origin(A, "bad")
    put("2")
    routes["b"] = Origin(B, "r2")
    put("3")
    assert stream.poll(0.0)
    event = stream.receive(DeltaRequest(type_url=ROUTE, response_nonce="2", error=RpcStatus(3, "bad")))
    assert isinstance(event, Rejected)
    assert blamed(event) == {Origin(A, "bad"), Origin(B, "r2")}


class _Watcher:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def changed(self, changes: object) -> None:
        self._stream.on_change(changes)  # type: ignore[arg-type]  # the view calls it


def test_the_event_of_a_rejection_names_what_may_be_at_fault(world: World) -> None:
    stream = world.stream("one")
    held = Resource.of(CLUSTER, "a", b"1", origins=(Origin(A, "r1"),))
    sent = Resource.of(CLUSTER, "a", b"2", origins=(Origin(A, "r2"),))
    world.status.answered(stream, Rejected(CLUSTER, {"a": Change(held, sent)}, RpcStatus(3, "bad")))
    [event] = [event for event in world.events if isinstance(event, PushRejected)]
    assert event.origins == {Origin(A, "r2")}


@pytest.mark.parametrize(
    ("standing", "problems", "state"),
    [
        (Standing("r2", "r1", waits=False), (Problem("a.yaml", 1, 1, "", "wrong"),), DocumentState.REJECTED),
        (Standing("r2", "r1", waits=True), (Problem("a.yaml", 1, 1, "", "taken"),), DocumentState.WAITING),
        (Standing("r2", "r2", waits=False), (), DocumentState.PROGRAMMED),
    ],
)
def test_how_a_text_stands(
    world: World, standing: Standing, problems: tuple[Problem, ...], state: DocumentState
) -> None:
    world.status.documents_changed({A: problems}, {A: standing})
    found = world.status.document(A)
    assert found
    assert found.state is state
    assert found.problems == problems
    written = found.as_dict()
    assert written["state"] == str(state)
    assert written.get("inForce") == (None if standing.in_force == standing.latest else "r1")


def test_a_feed_names_what_changed_since_it_was_read(world: World) -> None:
    world.put_in_force(A, "r1", generation=1)
    feed = world.status.feed()
    assert world.status.changed_documents(feed) == {A}
    assert world.status.changed_documents(feed) == set()
    stream = world.stream("one")
    world.status.in_step(stream, 1, NOTHING)
    world.status.changed_documents(feed)
    world.put_in_force(B, "r1", generation=2)
    assert world.status.changed_documents(feed) == {B}
    world.status.in_step(stream, 2, NOTHING)
    assert world.status.changed_documents(feed) == {B}
    world.status.documents_changed({}, {A: None})
    assert world.status.changed_documents(feed) == {A}
    assert world.status.document(A) is None


def test_a_feed_names_what_was_read_before_a_new_stream_had_it(world: World) -> None:
    """A stream opens when its view is there already, so nothing is pending for it."""
    world.put_in_force(A, "r1", generation=1)
    feed = world.status.feed()
    assert world.status.changed_documents(feed) == {A}
    world.put_in_force(B, "r1", generation=2)
    one, other = world.stream("one"), world.stream("other")
    assert world.status.changed_documents(feed) == {B}
    assert world.state(B) is DocumentState.PROGRAMMING
    world.status.in_step(one, 2, NOTHING)
    assert world.status.changed_documents(feed) == {B}, "one more has it"
    assert world.state(B) is DocumentState.PROGRAMMING
    world.status.closed(other)
    assert world.status.changed_documents(feed) == {B}
    assert world.state(B) is DocumentState.PROGRAMMED
    world.status.in_step(one, 3, NOTHING)
    assert world.status.changed_documents(feed) == set(), "what was read since is as it was read"
