"""Tells the streams of a view about its changes, several changes as one.

Telling a thousand streams about a change takes milliseconds of the event loop, be it one change or ten. So
the first change is told in the next turn of the loop. Changes that follow are collected during a pause,
which leaves most of the loop's time to the streams, and told together.

A stream must know what changed before it reads the view: otherwise it would send the same change twice. So
while a change waits to be told, streams send nothing (``settled``). A stream that reads a request first has
the waiting changes told (``flush``).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from xds.cache import Changes, Resource, View, Watcher
from xds.protocol import Event, Stream
from xds.protocol.variants import Request
from xds.wire import DeltaRequest

_PAUSE = 4.0
"""The pause until the next telling, as a multiple of the time that the last one took."""
_LONGEST_PAUSE = 0.1
"""Seconds."""


class Timer(Protocol):
    """What can be cancelled before its time has come."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class Loop(Protocol):
    """The part of an event loop that is used here."""

    def time(self) -> float:
        """Return the monotonic time in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call once that time has come, not before the current turn of the loop is over."""
        ...


class ChangeCoalescer:
    """Collects the changes of one view for its streams. It watches the view while there are any."""

    def __init__(self, view: View, loop: Callable[[], Loop] = asyncio.get_running_loop) -> None:
        self._view = view
        self._loop = loop
        # Those who are told; a dict for its order. Written by ``join`` and ``leave``.
        self._members: dict[Watcher, None] = {}
        # What changed since the last telling: what there was before, as in ``Changes``.
        self._untold: dict[str, dict[str, Resource | None]] = {}
        # Runs ``flush``; None if there is nothing to tell.
        self._timer: Timer | None = None
        # When the pause ends, in seconds of the loop's clock. Written by ``flush``.
        self._pause_ends = 0.0

    @property
    def settled(self) -> bool:
        """Whether every change was told. If not, all members are told soon."""
        return self._timer is None

    def changed(self, changes: Changes) -> None:
        """Collect a change (``Watcher``)."""
        if self._timer is None:
            self._timer = self._loop().call_at(self._pause_ends, self.flush)
        merge(self._untold, changes)

    def flush(self) -> None:
        """Tell what changed now."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        clock = self._loop().time
        began = clock()
        changes, self._untold = self._untold, {}
        for member in tuple(self._members):
            member.changed(changes)
        ended = clock()
        self._pause_ends = ended + min(_PAUSE * (ended - began), _LONGEST_PAUSE)

    def join(self, member: Watcher) -> None:
        """Tell ``member`` about every change from now on."""
        self.flush()
        if not self._members:
            self._view.watch(self)
        self._members[member] = None

    def leave(self, member: Watcher) -> bool:
        """Stop telling ``member``. Return whether anybody is left."""
        self._members.pop(member, None)
        if not self._members:
            self._view.unwatch(self)
            self.flush()
        return bool(self._members)


class ChangeCoalescers:
    """The coalescer of each view that any stream of a server sees."""

    def __init__(self, loop: Callable[[], Loop] = asyncio.get_running_loop) -> None:
        self._loop = loop
        # By view. Written by ``join`` and ``leave``.
        self._of: dict[View, ChangeCoalescer] = {}

    def join(self, view: View, member: Watcher) -> ChangeCoalescer:
        """Tell ``member`` about every change of a view from now on, until ``leave``."""
        coalescer = self._of.setdefault(view, ChangeCoalescer(view, self._loop))
        coalescer.join(member)
        return coalescer

    def leave(self, view: View, member: Watcher) -> None:
        """Stop telling ``member``."""
        if view in self._of and not self._of[view].leave(member):
            del self._of[view]


class CoalescedStream:
    """A protocol stream that is told about changes by a coalescer, always before it reads the view.

    ``wake`` is called when the stream may have something to send.
    """

    __slots__ = (
        "_coalescer",
        "_coalescers",
        "_mere_ack",
        "_reading",
        "_view",
        "_waited",
        "_wake",
        "generation",
        "stream",
    )

    def __init__(
        self, stream: Stream, view: View, coalescers: ChangeCoalescers, wake: Callable[[], None]
    ) -> None:
        self.stream = stream
        self._view = view
        self._coalescers = coalescers
        self._wake = wake
        # Whether a request is being read, with pauses. Written by ``read``.
        self._reading = False
        # Whether the request being handled is a mere ACK. Written by ``handle_ack``.
        self._mere_ack = False
        # Whether the last ``ready`` was False because of changes to be told. Written by ``ready``.
        self._waited = False
        self._coalescer = coalescers.join(view, self)
        # The generation of the view that the stream was told of. Written by ``changed``.
        self.generation = view.generation

    def close(self) -> None:
        """Hear of no more changes."""
        self._coalescers.leave(self._view, self)

    def changed(self, changes: Changes) -> None:
        """Hand a change on to the stream (``Watcher``)."""
        self.stream.on_change(changes)
        self.generation = self._view.generation
        self._wake()

    def handle_ack(self, request: Request) -> Event | None:
        """Handle the part of a request that answers a response."""
        self._mere_ack = self.only_acknowledges(request)
        if not self._mere_ack:
            self._coalescer.flush()
        return self.stream.handle_ack(request)

    def read(self, request: Request) -> Iterable[None]:
        """Handle the rest of it, with pauses in which others have their turn."""
        if not self._mere_ack:
            return self._read_on(request)
        if self.stream.has_due:
            self._wake()
        return ()

    def _read_on(self, request: Request) -> Iterator[None]:
        self._reading = True
        for pause in self.stream.read(request):
            yield pause
            self._coalescer.flush()
        self._reading = False
        if self.stream.has_due:
            self._wake()

    def ready(self, *, ending: bool = False) -> bool:
        """Whether the stream may be polled now. If not, ``wake`` is called when it may.

        Nobody waits twice in a row for changes that keep coming, nor when the stream is ``ending``.
        """
        if self._waited or ending:
            self._coalescer.flush()
        self._waited = not self._coalescer.settled
        return not (self._waited or self._reading)

    def only_acknowledges(self, request: Request) -> bool:
        """Whether a request is a mere ACK, as nearly all are.

        It may be handled before the stream is told about changes: the outcome is the same.
        """
        return (
            isinstance(request, DeltaRequest)
            and request.type_url in self.stream.subscriptions
            and not (request.error or request.asks)
        )


def merge(untold: dict[str, dict[str, Resource | None]], changes: Changes) -> None:
    """Add changes to those collected before: of each resource, what there was first counts."""
    for type_url, before in changes.items():
        of_type = untold.setdefault(type_url, {})
        for name, was in before.items():
            of_type.setdefault(name, was)
