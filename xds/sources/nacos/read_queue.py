"""Reading things that are known to have changed, each by one reader at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Self

_AT_ONCE = 16


class ReadQueue:
    """Reads keys in the background, until it is left as a context.

    Two reads of one key never overlap, so an older answer cannot overtake a newer one. A key that is
    marked during its read is read again: what made the mark may be newer than the answer.
    """

    def __init__(self, read: Callable[[str], Awaitable[None]], tasks: asyncio.TaskGroup) -> None:
        self._read = read
        self._tasks = tasks
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A push may still arrive, to a group that takes no more tasks.
        self._left = True

    def mark(self, key: str) -> None:
        """Have a key read."""
        if key in self._reading:
            self._again.add(key)
        elif not self._left:
            self._reading[key] = self._tasks.create_task(self._run(key))

    async def read(self, keys: Iterable[str]) -> None:
        """Have keys read and wait until they have been."""
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
