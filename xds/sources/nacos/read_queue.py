"""Reads things that are known to have changed, each by one reader at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Set
from contextlib import contextmanager

_CONCURRENT_READS = 16


class ReadQueue:
    """Reads keys in background tasks, for as long as the context ``within`` lasts.

    Two reads of one key never overlap, so an older answer cannot overtake a newer one. A key that is marked
    during its read is read again: what marked it may be newer than the answer.
    """

    def __init__(self, read: Callable[[str], Awaitable[None]]) -> None:
        self._read = read
        # Where reads run; None before and after. Written by ``within``.
        self._tasks: asyncio.TaskGroup | None = None
        # The task of each key that waits or is read, and since when (loop time). Written by ``mark`` and
        # ``_run``.
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._since: dict[str, float] = {}
        # Keys to read once more. Written by ``mark``, cleared by ``_run``.
        self._again: set[str] = set()
        self._slots = asyncio.Semaphore(_CONCURRENT_READS)

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
        return self._reading.keys()

    def mark(self, key: str) -> None:
        """Have a key read."""
        if key in self._reading:
            self._again.add(key)
        elif self._tasks is not None:
            self._since[key] = asyncio.get_running_loop().time()
            self._reading[key] = self._tasks.create_task(self._run(key))

    async def read(self, keys: Iterable[str]) -> None:
        """Have keys read, and wait until they have been."""
        wanted = sorted(keys)
        for key in wanted:
            self.mark(key)
        if tasks := [self._reading[key] for key in wanted if key in self._reading]:
            await asyncio.wait(tasks)

    async def _run(self, key: str) -> None:
        try:
            while True:
                async with self._slots:
                    self._again.discard(key)
                    await self._read(key)
                if key not in self._again:
                    return
        finally:
            del self._reading[key]
            del self._since[key]
