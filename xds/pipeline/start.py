"""The start: what the source says is awaited, and the snapshot served if that takes long."""

import asyncio
from collections.abc import Awaitable, Callable

from xds.sources.change_buffer import ChangeBuffer, Changes

_PATIENCE = 0.5
"""Seconds from when the source was asked that it has to report everything, before the last known good is
served instead. What it says is newer, and to proxies that run a word too late is better than an old one:
they keep what they have meanwhile. One that has just started waits, and 0.5 s is not long for it; nor would
more be of use, since a source that has much to say takes longer than anyone would wait."""

_PATIENCE_IN_TROUBLE = 0.1
"""The same once the source is in trouble. Not zero: the trouble may be with one document only."""


class Start:
    """Takes changes with ``take``; calls ``serve_snapshot`` (None: there is none) once, if that takes long.

    ``asked`` is when the source was asked, in loop time.
    """

    def __init__(
        self,
        buffer: ChangeBuffer,
        take: Callable[[], Awaitable[Changes]],
        serve_snapshot: Callable[[], None] | None,
        asked: float,
    ) -> None:
        self._buffer = buffer
        self._take = take
        self._serve_snapshot = serve_snapshot
        self._asked = asked

    async def next(self) -> Changes:
        """Return the next changes."""
        while True:
            try:
                async with asyncio.timeout_at(self._patient_until()):
                    return await self._take()
            except TimeoutError:
                assert self._serve_snapshot
                self._serve_snapshot()
                self._serve_snapshot = None

    def _patient_until(self) -> float | None:
        if self._serve_snapshot is None:
            return None
        in_trouble = self._buffer.trouble.reason is not None
        return self._asked + (_PATIENCE_IN_TROUBLE if in_trouble else _PATIENCE)
