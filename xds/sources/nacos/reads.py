"""Reading things that are known to have changed, each by one reader at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

_AT_ONCE = 16


class Reads:
    """Reads keys in the background.

    Two reads of one key never overlap, so an older answer cannot overtake a newer one. A key that is
    marked during its read is read again: what made the mark may be newer than the answer.
    """

    def __init__(self, read: Callable[[str], Awaitable[None]], tasks: asyncio.TaskGroup) -> None:
        self._read = read
        self._tasks = tasks
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def mark(self, key: str) -> asyncio.Task[None]:
        """Have a key read; the task ends when it has been."""
        if key in self._reading:
            self._again.add(key)
        else:
            self._reading[key] = self._tasks.create_task(self._run(key))
        return self._reading[key]

    async def read(self, keys: Iterable[str]) -> None:
        """Have keys read and wait until they have been."""
        tasks = [self.mark(key) for key in sorted(keys)]
        if tasks:
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
