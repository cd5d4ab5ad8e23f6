"""A view of the compiling process, and the server processes that have a replica of it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from xds.cache import Changes, Ref, Resource, View
from xds.server_processes.messages import Forget, Put, ViewOf, encode

_AT_ONCE = 256
"""Resources in one message of a first load: a millisecond or two on either side."""

Send = Callable[[bytes], None]
"""Sends a message to one server process; compared by identity."""


@dataclass(slots=True)
class _Holder:
    """A server process that has a replica, or is being sent one."""

    # Questions that are answered once it has all. None: it has. Written by ``ask`` and ``load``.
    waiting: list[int] | None
    # Whether it is sent what changes: not while the view itself is being filled. Written by ``load``.
    begun: bool = False
    # Answers that it was given.
    answers: int = 0


class SharedView:
    """Sends what changes in a view to those that have it, each change encoded once (``Watcher``)."""

    def __init__(self, number: int, view: View) -> None:
        self.number = number
        self.view = view
        # The processes that have a replica, or ask for one. Written by ``ask`` and ``drop``.
        self._holders: dict[Send, _Holder] = {}

    def changed(self, changes: Changes) -> None:
        """Send a change (``Watcher``)."""
        refs = (Ref(type_url, name) for type_url, before in changes.items() for name in before)
        if loaded := [send for send, holder in self._holders.items() if holder.begun]:
            message = self._put(refs)
            for send in loaded:
                send(message)

    def ask(self, send: Send, ask: int) -> bool:
        """Answer a question with this view, as soon as the process has all of it.

        Return whether ``load`` is to be called.
        """
        holder = self._holders.get(send)
        if holder is None:
            if not self._holders:
                self.view.watch(self)
            self._holders[send] = _Holder([ask])
            return True
        if holder.waiting is None:
            self._answer(send, holder, ask)
        else:
            holder.waiting.append(ask)
        return False

    async def load(self, send: Send) -> None:
        """Send all of the view, in parts. Changes are sent meanwhile."""
        holder = self._holders[send]
        for _ in self.view.fill():
            await asyncio.sleep(0)
        holder.begun = True
        refs = [Ref(type_url, name) for type_url in self.view.types for name in self.view.resources(type_url)]
        for start in range(0, max(len(refs), 1), _AT_ONCE):
            send(self._put(ref for ref in refs[start : start + _AT_ONCE] if self.view.get(ref)))
            await asyncio.sleep(0)
            if self._holders.get(send) is not holder:
                return  # it is gone
        for each in holder.waiting or ():
            self._answer(send, holder, each)
        holder.waiting = None

    def unused(self, send: Send, answers: int) -> bool:
        """Note that a process says that it uses its replica no more. Return whether nobody has one now."""
        holder = self._holders.get(send)
        if holder and holder.waiting is None and holder.answers == answers:
            send(encode(Forget(self.number)))
            return self.drop(send)
        return False

    def drop(self, send: Send) -> bool:
        """Note that a process, or its replica, is gone. Return whether nobody has one now."""
        if self._holders.pop(send, None) is None or self._holders:
            return False
        self.view.unwatch(self)
        return True

    def _answer(self, send: Send, holder: _Holder, ask: int) -> None:
        holder.answers += 1
        send(encode(ViewOf(ask, self.number)))

    def _put(self, refs: Iterable[Ref]) -> bytes:
        put: list[Resource] = []
        drop: list[Ref] = []
        for ref in refs:
            if resource := self.view.get(ref):
                put.append(resource)
            else:
                drop.append(ref)
        return encode(Put(self.number, self.view.generation, tuple(put), tuple(drop)))
