"""What a server process has of a view is what the compiling process has, whatever happens in between."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import fields
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.cache import Changes, Ref, Resource, View
from xds.documents import DocumentId, Origin
from xds.protocol import Acked, Change, Event, Rejected
from xds.server import Peer, StreamInfo
from xds.server.errors import StreamError
from xds.server_processes.messages import (
    Answered,
    Ask,
    Forget,
    NoView,
    Opened,
    Put,
    Settled,
    Unused,
    Up,
    ViewOf,
    answered,
    decode_down,
    decode_up,
    encode,
    event_of,
)
from xds.server_processes.replica import RemoteObserver, RemoteViews, Replica
from xds.server_processes.shared_view import SharedView
from xds.type_urls import CLUSTER, ROUTE
from xds.wire import Locality, Node, Status

ORIGIN = Origin(DocumentId("team", "a.yaml"), "0123456789abcdef")
NODE = Node(
    "n", "edge", {"role": "edge", "labels": [1.0, None, {"a": True}]}, Locality("r"), "envoy", "1.40.0"
)
PEER = Peer("ipv4:127.0.0.1:1", ("uri:spiffe://a/b",))


def resource(name: str, body: int, revision: str = ORIGIN.revision) -> Resource:
    return Resource.of(
        CLUSTER,
        name,
        b"%d" % body,
        requires=frozenset({Ref(ROUTE, "r")}),
        warms=Ref(ROUTE, "w"),
        origins=(ORIGIN._replace(revision=revision),),
        aliases=("other",),
        ttl=3.0,
    )


class Process:
    """A server process and the compiling one, with messages in order and as bytes between them."""

    def __init__(self, view: View) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.shared = SharedView(7, view, self._run)
        # Whether the server process leaves unread what it is sent.
        self.congested = False
        self.said: list[Up] = []
        self.views = RemoteViews(self._up)
        self.down: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.down.append(message)

    async def drained(self) -> None:
        await asyncio.sleep(0)
        while self.congested:
            await asyncio.sleep(0)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.add(asyncio.ensure_future(coroutine))

    async def run(self) -> None:
        """Let all that was begun come to its end."""
        await asyncio.gather(*self.tasks)

    def _up(self, message: Up) -> None:
        self.said.append(decode_up(encode(message)))

    def deliver(self) -> None:
        """Let the server process read what it was sent."""
        messages, self.down = self.down, []
        for data in messages:
            message = decode_down(data)
            assert isinstance(message, Put | ViewOf | Forget)
            self.views.take(message)

    async def ask(self) -> Replica:
        """Have a view asked for, and answered."""
        asking = asyncio.ensure_future(self.views.view_of(NODE, PEER))
        await asyncio.sleep(0)
        question = self.said.pop()
        assert isinstance(question, Ask)
        assert (question.node, question.peer) == (NODE, PEER)
        self.shared.ask(self, question.ask)
        await self.run()
        self.deliver()
        replica = await asking
        await asyncio.sleep(0)
        assert self.said.pop() == Settled(question.ask)
        assert isinstance(replica, Replica)
        return replica

    def unused(self) -> Iterator[Unused]:
        """Sweep, and pass on what follows."""
        self.views.sweep()
        said, self.said = self.said, []
        for message in said:
            assert isinstance(message, Unused)
            yield message


class Told:
    """A watcher that keeps what there was before each change, and the generation."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.told: list[tuple[int, dict[str, dict[str, str | None]]]] = []

    def changed(self, changes: Changes) -> None:
        before = {
            type_url: {name: was.version if was else None for name, was in names.items()}
            for type_url, names in changes.items()
        }
        self.told.append((self._view.generation, before))


steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from("12")), max_size=3),
        st.lists(st.sampled_from("abc"), max_size=2),
    ),
    max_size=12,
)


@given(steps, steps)
def test_a_replica_changes_as_its_view_does(
    before: Sequence[tuple[list[tuple[str, int, str]], list[str]]],
    after: Sequence[tuple[list[tuple[str, int, str]], list[str]]],
) -> None:
    async def play() -> None:
        view = View()
        for put, drop in before:
            view.apply([resource(*each) for each in put], [Ref(CLUSTER, name) for name in drop])
        process = Process(view)
        replica = await process.ask()
        there, here = Told(view), Told(replica)
        view.watch(there)
        replica.watch(here)
        for put, drop in after:
            view.apply([resource(*each) for each in put], [Ref(CLUSTER, name) for name in drop])
            process.deliver()
        # A watcher of a view reads the generation after the change; so does one of a replica.
        assert here.told == there.told
        assert replica.generation == view.generation
        assert replica.version(CLUSTER) == view.version(CLUSTER)
        for name, one in view.resources(CLUSTER).items():
            other = replica.resources(CLUSTER)[name]
            for field in fields(Resource):
                assert getattr(other, field.name) == getattr(one, field.name), field.name

    asyncio.run(play())


async def test_changes_during_a_first_load_are_in_it() -> None:
    view = View()
    view.apply([resource(f"c{number}", 0) for number in range(1000)])
    process = Process(view)
    process.shared.ask(process, 1)
    await asyncio.sleep(0)
    view.apply([resource("c999", 1), resource("new", 0)], [Ref(CLUSTER, "c0"), Ref(CLUSTER, "c998")])
    process.shared.ask(process, 2)  # the same load answers both
    await process.run()
    messages = [decode_down(data) for data in process.down]
    assert [message for message in messages if isinstance(message, ViewOf)] == [ViewOf(1, 7), ViewOf(2, 7)]
    assert all(isinstance(message, ViewOf) for message in messages[-2:]), "answers come after all of it"
    replica = Replica()
    for message in messages:
        if isinstance(message, Put):
            assert len(message.put) <= 256
            replica.follow_to(message.generation, message.put, message.drop)
    assert replica.version(CLUSTER) == view.version(CLUSTER)
    assert replica.generation == view.generation


async def test_a_view_that_is_filled_meanwhile_is_sent_once_and_whole() -> None:
    view = View()

    def fill() -> Iterator[None]:
        for number in range(10):
            view.apply([resource(f"c{number}", 0)])
            yield

    view.fill_by(fill())
    process = Process(view)
    replica = await process.ask()
    assert replica.version(CLUSTER) == view.version(CLUSTER)
    assert (replica.generation, len(replica.resources(CLUSTER))) == (view.generation, 10)


async def test_a_replica_that_nobody_watches_is_let_go_of() -> None:
    view = View()
    process = Process(view)
    replica = await process.ask()
    watcher = Told(replica)
    replica.watch(watcher)
    assert not [*process.unused(), *process.unused()], "it is watched"
    replica.unwatch(watcher)
    assert not [*process.unused()], "somebody may have been given it just now"
    [unused] = process.unused()
    assert view.watched
    assert process.shared.unused(process, unused.answers)
    assert not view.watched
    process.deliver()
    view.apply([resource("a", 1)])
    assert not process.down, "nothing is sent any more"
    again = await process.ask()
    assert again is not replica
    assert again.version(CLUSTER) == view.version(CLUSTER)


async def test_a_replica_that_is_asked_for_meanwhile_is_kept() -> None:
    view = View()
    process = Process(view)
    await process.ask()
    assert not [*process.unused()]
    [unused] = process.unused()
    replica = await process.ask()
    assert not process.shared.unused(process, unused.answers)
    process.deliver()
    view.apply([resource("a", 1)])
    process.deliver()
    assert replica.version(CLUSTER) == view.version(CLUSTER)
    assert not [*process.unused()], "since the last look, it was an answer"


async def test_a_process_that_is_gone_needs_nothing() -> None:
    view = View()
    process = Process(view)
    process.shared.ask(process, 1)
    await asyncio.sleep(0)
    assert process.shared.drop(process)
    await process.run()
    assert not view.watched
    assert not any(isinstance(decode_down(data), ViewOf) for data in process.down)


async def test_what_changes_while_a_process_does_not_read_is_sent_as_one() -> None:
    view = View()
    view.apply([resource("a", 1), resource("b", 1)])
    process = Process(view)
    replica = await process.ask()
    process.congested = True
    for body in range(2, 100):
        view.apply([resource("a", body)])
    await asyncio.sleep(0)
    view.apply([], [Ref(CLUSTER, "b")])
    assert not process.down
    process.congested = False
    view.apply([resource("c", 1)])
    assert not process.down, "what came before is sent before"
    await process.run()
    assert len(process.down) == 1
    process.deliver()
    assert replica.version(CLUSTER) == view.version(CLUSTER)
    assert replica.generation == view.generation


async def test_what_is_again_as_it_was_when_a_process_reads_is_a_new_generation_all_the_same() -> None:
    view = View()
    view.apply([resource("a", 1)])
    process = Process(view)
    replica = await process.ask()
    here = Told(replica)
    replica.watch(here)
    process.congested = True
    view.apply([resource("a", 2)])
    view.apply([resource("a", 1)])
    process.congested = False
    await process.run()
    process.deliver()
    assert here.told == [(view.generation, {})]
    assert replica.generation == view.generation == 3


async def test_a_view_is_loaded_no_faster_than_the_process_reads() -> None:
    view = View()
    view.apply([resource(f"c{number}", 0) for number in range(1000)])
    process = Process(view)
    process.congested = True
    process.shared.ask(process, 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not process.down
    process.congested = False
    await process.run()
    assert decode_down(process.down[-1]) == ViewOf(1, 7)


async def test_what_two_replicas_have_is_in_memory_once() -> None:
    views = RemoteViews(lambda _: None)
    for number in (1, 2):
        put = decode_down(encode(Put(number, 1, (resource("a", 1), resource("b", number)), ())))
        assert isinstance(put, Put)
        views.take(put)
        views.take(ViewOf(0, number))
    one, two = (views.replica(number).resources(CLUSTER) for number in (1, 2))
    assert one["a"] is two["a"]
    assert one["b"].body != two["b"].body
    put = decode_down(encode(Put(2, 2, (resource("a", 1, "another"),), ())))
    assert isinstance(put, Put)
    views.take(put)
    assert one["a"].origins != two["a"].origins == (ORIGIN._replace(revision="another"),)


async def test_a_node_that_may_have_no_view_is_told_why() -> None:
    said: list[Up] = []
    views = RemoteViews(said.append)
    asking = asyncio.ensure_future(views.view_of(NODE, PEER))
    await asyncio.sleep(0)
    views.take(NoView(0, "RESOURCE_EXHAUSTED", "too many"))
    with pytest.raises(StreamError, match="too many") as raised:
        await asking
    assert raised.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await asyncio.sleep(0)
    assert said == [Ask(0, NODE, PEER), Settled(0)]


async def test_who_is_gone_before_the_answer_is_told_of() -> None:
    said: list[Up] = []
    views = RemoteViews(said.append)
    asking = asyncio.ensure_future(views.view_of(NODE, PEER))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0)
    assert said == [Ask(0, NODE, PEER), Settled(0)]
    views.take(NoView(0, "RESOURCE_EXHAUSTED", "too many"))


HELD, SENT = resource("a", 1), resource("a", 2)


@pytest.mark.parametrize(
    "event",
    [
        Acked(CLUSTER, {"a": Change(HELD, SENT), "b": Change(None, SENT), "c": Change(HELD, None)}),
        Rejected(CLUSTER, {"a": Change(None, SENT)}, Status(3, "no")),
    ],
)
def test_what_a_client_answered_is_told(event: Event) -> None:
    message = decode_up(encode(answered(5, event)))
    assert isinstance(message, Answered)
    assert message.stream == 5
    told = event_of(message)
    assert type(told) is type(event)
    assert (told.type_url, getattr(told, "reason", None)) == (event.type_url, getattr(event, "reason", None))
    assert told.changes.keys() == event.changes.keys()
    for name, change in event.changes.items():
        for one, other in zip(change, told.changes[name], strict=True):
            assert (one and (one.version, one.origins)) == (other and (other.version, other.origins))
    again = event_of(message)
    assert again.changes["a"].sent is told.changes["a"].sent, "what is remembered of a version is found again"


async def test_streams_are_told_of_by_number() -> None:
    said: list[Up] = []
    observer = RemoteObserver(said.append)
    streams = [StreamInfo(NODE, PEER, "ads"), StreamInfo(NODE, PEER, "ads")]
    for stream in streams:
        observer.opened(stream)
    observer.in_step(streams[1], 3, {Ref(CLUSTER, "a")})
    observer.closed(streams[0])
    sent = [decode_up(encode(message)) for message in said]
    assert isinstance(sent[0], Opened)
    assert [getattr(message, "stream", None) for message in sent] == [0, 1, 1, 0]
