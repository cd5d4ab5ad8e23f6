"""Tells the streams that see a view of its changes: of all since they were last told, as one.

Telling a thousand streams of a change costs the event loop milliseconds, whether of one version or of ten. So
the first change is told in the loop's next turn, and those that follow it are told together, after a rest
that leaves most of the loop's time to the streams: a storm of changes is merged as fast as it comes, whoever
makes it.

A stream must know what changed before it looks at the view: what it sends and does not know of would be sent
again. So while there is something untold, it sends nothing (``settled``), and has what it did not hear told
before it asks for more (``catch_up``).
"""

import asyncio

from xds.cache import Changes, Resource, View, Watcher

_REST = 4.0
"""Times as long as the last telling took until the next may begin."""
_LONGEST_REST = 0.1
"""Seconds that a rest takes at most, however much there was to tell."""


class Broadcast:
    """The streams that see one view. It watches the view as long as there are any."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._members: dict[Watcher, None] = {}
        self._untold: dict[str, dict[str, Resource | None]] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._rested = 0.0

    @property
    def settled(self) -> bool:
        """Whether everything that changed was told. If not, whoever waits is woken once it is."""
        return self._telling is None

    def changed(self, changes: Changes) -> None:
        """Take note of what changed (``Watcher``)."""
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_at(self._rested, self.catch_up)
        for type_url, before in changes.items():
            untold = self._untold.setdefault(type_url, {})
            for name, was in before.items():
                untold.setdefault(name, was)

    def catch_up(self) -> None:
        """Tell what is untold now."""
        if self._telling is None:
            return
        self._telling.cancel()
        self._telling = None
        clock = asyncio.get_running_loop().time
        began = clock()
        changes, self._untold = self._untold, {}
        for member in tuple(self._members):
            member.changed(changes)
        ended = clock()
        self._rested = ended + min(_REST * (ended - began), _LONGEST_REST)

    def join(self, member: Watcher) -> None:
        """Tell ``member`` of every change from now on."""
        self.catch_up()
        if not self._members:
            self._view.watch(self)
        self._members[member] = None

    def leave(self, member: Watcher) -> bool:
        """Tell ``member`` no more. Return whether anybody is left."""
        self._members.pop(member, None)
        if not self._members:
            self._view.unwatch(self)
            self.catch_up()
        return bool(self._members)


class Broadcasts:
    """The broadcast of each view that any stream of a server sees."""

    def __init__(self) -> None:
        self._of: dict[View, Broadcast] = {}

    def join(self, view: View, member: Watcher) -> Broadcast:
        """Tell ``member`` of every change of a view from now on, until ``leave``."""
        broadcast = self._of.setdefault(view, Broadcast(view))
        broadcast.join(member)
        return broadcast

    def leave(self, view: View, member: Watcher) -> None:
        """Tell ``member`` no more."""
        if view in self._of and not self._of[view].leave(member):
            del self._of[view]
