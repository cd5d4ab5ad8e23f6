"""Tells the streams of a view about its changes, several changes as one.

Telling a thousand streams about a change takes milliseconds of the event loop, be it one change or ten. So
the first change is told in the next turn of the loop. Changes that follow are collected during a pause,
which leaves most of the loop's time to the streams, and told together.

A stream must know what changed before it reads the view: otherwise it would send the same change twice. So
while a change waits to be told, streams send nothing (``settled``). A stream that reads a request first has
the waiting changes told (``flush``).
"""

import asyncio

from xds.cache import Changes, Resource, View, Watcher

_PAUSE = 4.0
"""The pause until the next telling, as a multiple of the time that the last one took."""
_LONGEST_PAUSE = 0.1
"""Seconds."""


class ChangeCoalescer:
    """Collects the changes of one view for its streams. It watches the view while there are any."""

    def __init__(self, view: View) -> None:
        self._view = view
        # Those who are told; a dict for its order. Written by ``join`` and ``leave``.
        self._members: dict[Watcher, None] = {}
        # What changed since the last telling: what there was before, as in ``Changes``.
        self._untold: dict[str, dict[str, Resource | None]] = {}
        # Runs ``flush``; None if there is nothing to tell.
        self._timer: asyncio.TimerHandle | None = None
        # When the pause ends, in seconds of the loop's clock. Written by ``flush``.
        self._pause_ends = 0.0

    @property
    def settled(self) -> bool:
        """Whether every change was told. If not, all members are told soon."""
        return self._timer is None

    def changed(self, changes: Changes) -> None:
        """Collect a change (``Watcher``)."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._pause_ends, self.flush)
        merge(self._untold, changes)

    def flush(self) -> None:
        """Tell what changed now."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        clock = asyncio.get_running_loop().time
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

    def __init__(self) -> None:
        self._of: dict[View, ChangeCoalescer] = {}

    def join(self, view: View, member: Watcher) -> ChangeCoalescer:
        """Tell ``member`` about every change of a view from now on, until ``leave``."""
        coalescer = self._of.setdefault(view, ChangeCoalescer(view))
        coalescer.join(member)
        return coalescer

    def leave(self, view: View, member: Watcher) -> None:
        """Stop telling ``member``."""
        if view in self._of and not self._of[view].leave(member):
            del self._of[view]


def merge(untold: dict[str, dict[str, Resource | None]], changes: Changes) -> None:
    """Add changes to those collected before: of each resource, what there was first counts."""
    for type_url, before in changes.items():
        of_type = untold.setdefault(type_url, {})
        for name, was in before.items():
            of_type.setdefault(name, was)
