"""Long work in the event loop, in slices: other tasks have their turn in between."""

import asyncio

_SLICE = 0.003
"""Seconds of work at a stretch: what other tasks wait for at most, beside one piece of work."""


class TimeSlice:
    """Measures how long a task has worked since others had their turn."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        # When this slice ends, by the clock. Written by ``pause``.
        self._ends = self._clock() + _SLICE

    async def pause(self) -> None:
        """Let others work, if this task has worked long enough."""
        if self._clock() >= self._ends:
            await asyncio.sleep(0)
            self._ends = self._clock() + _SLICE
