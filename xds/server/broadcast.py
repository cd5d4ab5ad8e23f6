"""Tells the streams that see a view of its changes: of all since they last looked, as one.

Telling a thousand streams of a change costs the event loop milliseconds whether it is one version or ten. So
it waits for the loop's next turn, and what changes until then is told together: a storm of changes is merged
as fast as it comes, whoever makes them.
"""

import asyncio

from xds.cache import Changes, Resource, View, Watcher


class Broadcast:
    """The streams that see one view. It watches the view as long as there are any."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._members: dict[Watcher, None] = {}
        self._untold: dict[str, dict[str, Resource | None]] = {}

    def changed(self, changes: Changes) -> None:
        """Take note of what changed (``Watcher``)."""
        if not self._untold:
            asyncio.get_running_loop().call_soon(self.catch_up)
        for type_url, before in changes.items():
            self._untold[type_url] = {**before, **self._untold.get(type_url, {})}

    def catch_up(self) -> None:
        """Tell what is untold now: before a stream looks at the view, it must know what changed there."""
        if self._untold:
            changes, self._untold = self._untold, {}
            for member in tuple(self._members):
                member.changed(changes)

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
