"""When to poll again."""

import asyncio
from collections.abc import AsyncIterator

_SHARE = 0.1
"""The share of time that polling may take."""

_RETRY = 0.5
"""Seconds until the next poll after one that failed."""


class PollTimer:
    """Iterates once now, then every ``interval`` seconds after the end of the poll before.

    After a long poll it waits longer, so that polling never takes more than a tenth of the time. After a
    failed one it waits half a second: a silent server is no load.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        # Set when the next poll is due at once. Written by ``hurry``.
        self._hurried = asyncio.Event()
        # Whether the current poll failed. Written by ``failed``.
        self._failed = False

    def hurry(self) -> None:
        """Make the next poll due at once."""
        self._hurried.set()

    def failed(self) -> None:
        """Record that the current poll failed."""
        self._failed = True

    async def __aiter__(self) -> AsyncIterator[None]:
        clock = asyncio.get_running_loop().time
        while True:
            self._hurried.clear()
            self._failed = False
            began = clock()
            yield
            pause = max(self._interval, (clock() - began) / _SHARE)
            if self._failed:
                pause = min(self._interval, _RETRY)
            try:
                async with asyncio.timeout(pause):
                    await self._hurried.wait()
            except TimeoutError:
                pass
