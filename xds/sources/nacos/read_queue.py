"""Reads things that are known to have changed, each by one reader at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Set
from typing import Self

_CONCURRENT_READS = 16


class ReadQueue:
    """Reads keys in background tasks, until it is left as a context.

    Two reads of one key never overlap, so an older answer cannot overtake a newer one. A key that is marked
    during its read is read again: what marked it may be newer than the answer.
    """

    def __init__(self, read: Callable[[str], Awaitable[None]], tasks: asyncio.TaskGroup) -> None:
        self._read = read
        self._tasks = tasks
        # The task of each key that waits or is read, and since when (loop time). Written by `mark`, `_run`.
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._since: dict[str, float] = {}
        # Keys to read once more. Written by `mark`, cleared by `_run`.
        self._again: set[str] = set()
        self._slots = asyncio.Semaphore(_CONCURRENT_READS)
        # Whether the context was left: the task group takes no more tasks.
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True

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
        elif not self._left:
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
