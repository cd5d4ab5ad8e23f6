"""Writes the last known good behind the back of the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import structlog

from xds.lastgood.store import LastGood, Store

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Seconds between two writes: a burst of changes is written once."""

ServiceT = TypeVar("ServiceT")


class Keeper(Generic[ServiceT]):
    """Takes changes at once and writes them in a thread, merged, when the one before is on disk.

    A disk that cannot be written to is a warning, not an end: what was not written is written with the next.
    """

    def __init__(self, store: Store[ServiceT]) -> None:
        self._store = store
        self._changes: LastGood[ServiceT] = LastGood()
        self._filled = asyncio.Event()
        self._failing = False
        # One thread: what comes later is written later, also when nobody waits for it any more.
        self._thread = ThreadPoolExecutor(1, "last-known-good")

    async def load(self) -> LastGood[ServiceT]:
        """Read what was kept."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._store.load)

    def keep(self, changes: LastGood[ServiceT]) -> None:
        """Have changes written; never blocks."""
        self._changes.absorb(changes)
        self._filled.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self.flush()
            await asyncio.sleep(_PAUSE)

    async def flush(self) -> None:
        """Write what is not yet written, after what is being written."""
        changes, self._changes = self._changes, LastGood()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.save, changes)
        except OSError as error:
            self._put_back(changes)
            if not self._failing:
                _log.warning("the last known good cannot be written", reason=str(error))
            self._failing = True
        except asyncio.CancelledError:
            self._put_back(changes)  # whether it was written or not
            raise
        else:
            self._failing = False

    def _put_back(self, changes: LastGood[ServiceT]) -> None:
        changes.absorb(self._changes)
        self._changes = changes
        self._filled.set()
