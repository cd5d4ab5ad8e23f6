"""Views of the compiling process, and the server processes that have a replica of each."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from xds.cache import Ref, Resource, View
from xds.server_processes.messages import Forget, Put, Unused, ViewOf, encode

_AT_ONCE = 256
"""Resources in one message of a first load: a millisecond or two on either side."""


class Receiver(Protocol):
    """One server process, as far as it is sent to; told apart from others by identity."""

    @property
    def congested(self) -> bool:
        """Whether it has left so much unread that nothing that can wait should be sent."""
        ...

    def send(self, message: bytes) -> None:
        """Send a message."""
        ...

    async def drained(self) -> None:
        """Let others have their turn, and wait while it is congested; not for one that is gone."""
        ...


@dataclass(slots=True)
class _Holder:
    """A server process that has a replica, or is being sent one."""

    # Questions that are answered once it has all. None: it has. Written by ``ask`` and ``load``.
    waiting: list[int] | None
    # Whether it is sent what changes: not while the view itself is being filled. Written by ``load``.
    begun: bool = False
    # What changed while it was congested, to be sent by ``catch_up``. Written by ``replaced``.
    late: dict[Ref, None] = field(default_factory=dict)
    # Answers that it was given.
    answers: int = 0


Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs something beside all else."""


class SharedView:
    """Sends what changes in a view to those that have it, each change encoded once (``Follower``).

    One that is congested is sent what changed meanwhile at once, later: of each resource the last version.
    """

    def __init__(self, number: int, view: View, run: Run) -> None:
        self.number = number
        self.view = view
        self._run = run
        # The processes that have a replica, or ask for one. Written by ``ask`` and ``drop``.
        self._holders: dict[Receiver, _Holder] = {}

    def replaced(self, refs: Collection[Ref]) -> None:
        """Send a change (``Follower``)."""
        message: bytes | None = None
        for receiver, holder in self._holders.items():
            if not holder.begun:
                continue
            if holder.late or receiver.congested:
                if not holder.late:
                    self._run(self._catch_up_when_drained(receiver))
                holder.late.update(dict.fromkeys(refs))
                continue
            message = message or self._put(refs)
            receiver.send(message)

    def ask(self, receiver: Receiver, ask: int) -> None:
        """Answer a question with this view, as soon as the process has all of it."""
        holder = self._holders.get(receiver)
        if holder is None:
            if not self._holders:
                self.view.follow(self)
            self._holders[receiver] = _Holder([ask])
            self._run(self._load(receiver))
        elif holder.waiting is None:
            self._answer(receiver, holder, ask)
        else:
            holder.waiting.append(ask)

    def unused(self, receiver: Receiver, answers: int) -> bool:
        """Note that a process says that it uses its replica no more. Return whether nobody has one now."""
        holder = self._holders.get(receiver)
        if holder and holder.waiting is None and holder.answers == answers:
            receiver.send(encode(Forget(self.number)))
            return self.drop(receiver)
        return False

    def drop(self, receiver: Receiver) -> bool:
        """Note that a process, or its replica, is gone. Return whether nobody has one now."""
        if self._holders.pop(receiver, None) is None or self._holders:
            return False
        self.view.unfollow(self)
        return True

    async def _load(self, receiver: Receiver) -> None:
        """Send all of the view, in parts. Changes are sent meanwhile."""
        holder = self._holders[receiver]
        for _ in self.view.fill():
            await asyncio.sleep(0)
        holder.begun = True
        refs = [Ref(type_url, name) for type_url in self.view.types for name in self.view.resources(type_url)]
        for start in range(0, max(len(refs), 1), _AT_ONCE):
            await receiver.drained()
            if self._holders.get(receiver) is not holder:
                return  # it is gone
            receiver.send(self._put(ref for ref in refs[start : start + _AT_ONCE] if self.view.get(ref)))
        self._catch_up(receiver, holder)
        for each in holder.waiting or ():
            self._answer(receiver, holder, each)
        holder.waiting = None

    async def _catch_up_when_drained(self, receiver: Receiver) -> None:
        holder = self._holders[receiver]
        await receiver.drained()
        if self._holders.get(receiver) is holder:
            self._catch_up(receiver, holder)

    def _catch_up(self, receiver: Receiver, holder: _Holder) -> None:
        if late := tuple(holder.late):
            holder.late.clear()
            receiver.send(self._put(late))

    def _answer(self, receiver: Receiver, holder: _Holder, ask: int) -> None:
        self._catch_up(receiver, holder)
        holder.answers += 1
        receiver.send(encode(ViewOf(ask, self.number)))

    def _put(self, refs: Iterable[Ref]) -> bytes:
        put: list[Resource] = []
        drop: list[Ref] = []
        for ref in refs:
            if resource := self.view.get(ref):
                put.append(resource)
            else:
                drop.append(ref)
        return encode(Put(self.number, self.view.generation, tuple(put), tuple(drop)))


class SharedViews:
    """All views that any server process has. ``released`` is called when nobody has some of them any more."""

    def __init__(self, run: Run, released: Callable[[], None]) -> None:
        self._run = run
        self._released = released
        # Written by ``give`` and ``_release``.
        self._views: dict[View, SharedView] = {}
        self._numbers = count()

    def give(self, receiver: Receiver, ask: int, view: View) -> None:
        """Answer a question of a process with a view."""
        shared = self._views.get(view)
        if shared is None:
            shared = self._views[view] = SharedView(next(self._numbers), view, self._run)
        shared.ask(receiver, ask)

    def take(self, receiver: Receiver, message: Unused) -> None:
        """Note that a process says that it uses a view no more."""
        found = [view for view, shared in self._views.items() if shared.number == message.view]
        self._release([view for view in found if self._views[view].unused(receiver, message.answers)])

    def drop(self, receiver: Receiver) -> None:
        """Forget a process that is gone."""
        self._release([view for view, shared in self._views.items() if shared.drop(receiver)])

    def _release(self, views: Sequence[View]) -> None:
        for view in views:
            del self._views[view]
        if views:
            self._released()
