"""Reads things that are known to have changed, each by one reader at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass

_CONCURRENT_READS = 16


@dataclass(slots=True)
class _Wait:
    """How many keys somebody waits for still, and what is done when there are none."""

    over: asyncio.Future[None]
    left: int = 0


class ReadQueue:
    """Reads keys in background tasks, for as long as the context ``within`` lasts.

    Two reads of one key never overlap, so an older answer cannot overtake a newer one. A key that is marked
    during its read is read again: what marked it may be newer than the answer. Keys that are marked come
    before those that are read in bulk, of which there may be thousands.
    """

    def __init__(self, read: Callable[[str], Awaitable[None]]) -> None:
        self._read = read
        # Where reads run; None before and after. Written by ``within``.
        self._tasks: asyncio.TaskGroup | None = None
        # What waits to be read, in order: what was marked, and the rest. Written by ``_put`` and ``_run``.
        self._marked: OrderedDict[str, None] = OrderedDict()
        self._bulk: OrderedDict[str, None] = OrderedDict()
        # What is being read, and of that what is to be read once more. Written by ``_put`` and ``_read_one``.
        self._reading: set[str] = set()
        self._again: set[str] = set()
        # Since when each key waits or is read, in loop time. Written by ``_put`` and ``_read_one``.
        self._since: dict[str, float] = {}
        # Who waits for the end of the reads of a key.
        self._waiting: dict[str, list[_Wait]] = {}
        self._readers = 0  # written by ``_put`` and ``_run``

    @contextmanager
    def within(self, tasks: asyncio.TaskGroup) -> Iterator[None]:
        """Read in these tasks. What is marked outside of the context is not read."""
        self._tasks = tasks
        try:
            yield
        finally:
            self._tasks = None

    @property
    def oldest(self) -> float | None:
        """Since when the longest waiting key waits, in loop time; None when none does."""
        return min(self._since.values(), default=None)

    @property
    def keys(self) -> Set[str]:
        """What waits to be read, or is being read."""
        return self._since.keys()

    def mark(self, key: str) -> None:
        """Have a key read before all that are not marked."""
        if key in self._bulk:
            del self._bulk[key]
            self._marked[key] = None
        else:
            self._put(key, self._marked)

    async def read(self, keys: Iterable[str]) -> None:
        """Have keys read, and wait until they have been."""
        wait = _Wait(asyncio.get_running_loop().create_future())
        for key in sorted(keys):
            if self._put(key, self._bulk):
                wait.left += 1
                self._waiting.setdefault(key, []).append(wait)
        if wait.left:
            await wait.over

    def _put(self, key: str, queue: OrderedDict[str, None]) -> bool:
        """Have a key read; return whether it will be."""
        if self._tasks is None:
            return False
        if key in self._reading:
            self._again.add(key)
        elif key not in self._since:
            self._since[key] = asyncio.get_running_loop().time()
            queue[key] = None
            if self._readers < _CONCURRENT_READS:
                self._readers += 1
                self._tasks.create_task(self._run())
        return True

    async def _run(self) -> None:
        """Read until nothing waits."""
        try:
            while queue := self._marked or self._bulk:
                key, _ = queue.popitem(last=False)
                await self._read_one(key)
        finally:
            self._readers -= 1

    async def _read_one(self, key: str) -> None:
        self._reading.add(key)
        try:
            await self._read(key)
        finally:
            self._reading.discard(key)
        if key in self._again:
            self._again.discard(key)
            self._marked[key] = None
            return
        del self._since[key]
        for wait in self._waiting.pop(key, ()):
            wait.left -= 1
            if not wait.left and not wait.over.done():
                wait.over.set_result(None)
