"""When to look again: every so often, at once when asked, and never so often that it is all we do."""

import asyncio
from collections.abc import AsyncIterator

_SHARE = 0.1
"""The share of time that looking may take."""


class PollTimer:
    """Iterates once now, then every ``interval`` seconds after the end of the turn before, or slower when
    turns are long.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Have the next turn come at once."""
        self._hurried.set()

    async def __aiter__(self) -> AsyncIterator[None]:
        clock = asyncio.get_running_loop().time
        while True:
            self._hurried.clear()
            began = clock()
            yield
            pause = max(self._interval, (clock() - began) / _SHARE)
            try:
                async with asyncio.timeout(pause):
                    await self._hurried.wait()
            except TimeoutError:
                pass
