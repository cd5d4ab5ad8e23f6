"""The side of a server process: replicas of views, and an observer that passes on what it is told."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Set
from itertools import count
from weakref import WeakValueDictionary

import grpc

from xds.cache import Ref, Resource, View
from xds.protocol import Event
from xds.server import Peer, StreamInfo
from xds.server.errors import StreamError, exhausted
from xds.server_processes.messages import (
    Ask,
    AskStatus,
    Closed,
    Forget,
    InStep,
    NoView,
    Opened,
    OtherStatusIs,
    Put,
    Settled,
    Unused,
    Up,
    ViewOf,
    answered,
)
from xds.wire import Node

Say = Callable[[Up], None]
"""Sends a message to the compiling process."""


class Replica(View):
    """A view of the compiling process, with its contents and its generation."""

    def __init__(self) -> None:
        super().__init__()
        # How often it was the answer to a question. Written by ``RemoteViews``.
        self.answers = 0
        # ``answers`` when it was last found that nobody watches. Written by ``RemoteViews.sweep``.
        self.unwatched_since: int | None = None

    def follow_to(self, generation: int, put: Iterable[Resource], drop: Iterable[Ref]) -> None:
        """Take a change, after which the view has this generation."""
        before = self._generation
        self._generation = generation - 1  # watchers are told in between, and read it
        self.apply(put, drop)
        is_told = self._generation == generation
        self._generation = generation
        if generation > before and not is_told:
            self._tell({})  # what changed is again as it was: who has that has all of this generation


class RemoteViews:
    """The replicas of a server process. A resource that several of them have is in memory once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        # By the number of the view. Written by ``take``.
        self._replicas: dict[int, Replica] = {}
        # By number, the questions that are not answered. Written by ``view_of``.
        self._asked: dict[int, asyncio.Future[View]] = {}
        self._numbers = count()
        # Every resource that any replica has, or a stream has not let go of yet, by all it has but its body.
        # Written by ``_known``.
        self._resources: WeakValueDictionary[tuple[Hashable, ...], Resource] = WeakValueDictionary()

    async def view_of(self, node: Node, peer: Peer) -> View:
        """Return the view of a node, after which a stream is opened at once. Raise ``StreamError``."""
        number = next(self._numbers)
        answer: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._say(Ask(number, node, peer))
        try:
            return await answer
        finally:
            del self._asked[number]
            # After whoever asked had its turn, and said that it opened a stream.
            asyncio.get_running_loop().call_soon(self._say, Settled(number))

    def take(self, message: Put | ViewOf | NoView | Forget) -> None:
        """Take what the compiling process says of views."""
        match message:
            case Put(number, generation, put, drop):
                known = map(self._known, put)
                self._replicas.setdefault(number, Replica()).follow_to(generation, known, drop)
            case NoView(ask, status, reason):
                if (waiting := self._asked.get(ask)) and not waiting.done():  # it may be gone
                    waiting.set_exception(StreamError(grpc.StatusCode[status], reason))
            case ViewOf(ask, number):
                replica = self._replicas[number]
                replica.answers += 1
                if (waiting := self._asked.get(ask)) and not waiting.done():  # it may be gone
                    waiting.set_result(replica)
            case Forget(number):
                del self._replicas[number]

    def replica(self, number: int) -> Replica:
        """Return the replica of a view."""
        return self._replicas[number]

    def _known(self, one: Resource) -> Resource:
        """Return the resource that is like this one."""
        version = one.type_url, one.name, one.version, one.on_demand, one.ttl
        return self._resources.setdefault((*version, one.origins, one.requires, one.warms, one.aliases), one)

    def sweep(self) -> None:
        """Say which replicas were not watched at the last sweep, nor are now.

        Between two sweeps, whoever was given a replica has come to watch it.
        """
        for number, replica in self._replicas.items():
            if replica.watched:
                replica.unwatched_since = None
            elif replica.answers and replica.unwatched_since == replica.answers:
                self._say(Unused(number, replica.answers))
            else:
                replica.unwatched_since = replica.answers


class RemoteStatus:
    """The status of the clients of all other server processes."""

    def __init__(self, say: Say) -> None:
        self._say = say
        # By number, the questions that are not answered. Written by ``ask``.
        self._asked: dict[int, asyncio.Future[bytes | None]] = {}
        self._numbers = count()

    async def ask(self, request: bytes) -> bytes:
        """Return a ``ClientStatusResponse`` with these clients. Raise ``StreamError`` if too large."""
        number = next(self._numbers)
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._say(AskStatus(number, request))
        try:
            response = await answer
        finally:
            del self._asked[number]
        if response is None:
            raise exhausted("the answer of another process is too large: set node_matchers")
        return response

    def take(self, message: OtherStatusIs) -> None:
        """Take the answer."""
        if (waiting := self._asked.get(message.ask)) and not waiting.done():  # it may be gone
            waiting.set_result(message.response)


class RemoteObserver:
    """Passes on what a server tells of its streams (``Observer``)."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._numbers = count()
        # The number of each open stream. Written by ``opened`` and ``closed``.
        self._streams: dict[StreamInfo, int] = {}

    def opened(self, stream: StreamInfo) -> None:
        """Pass it on."""
        number = self._streams[stream] = next(self._numbers)
        self._say(Opened(number, stream.node, stream.peer, stream.method))

    def closed(self, stream: StreamInfo) -> None:
        """Pass it on."""
        self._say(Closed(self._streams.pop(stream)))

    def answered(self, stream: StreamInfo, event: Event) -> None:
        """Pass it on."""
        self._say(answered(self._streams[stream], event))

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        """Pass it on."""
        self._say(InStep(self._streams[stream], generation, tuple(rejected)))
