"""Writes the snapshot in the background."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import structlog

from xds.snapshot.store import Snapshot, SnapshotStore

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Seconds between two writes: a burst of changes is written once."""

_AT_ONCE = 256
"""Services that are let go of before others have their turn: about a millisecond."""

ServiceT = TypeVar("ServiceT")


class SnapshotWriter(Generic[ServiceT]):
    """Takes changes at once and writes them in a thread, merged, when the one before is on disk.

    A disk that cannot be written to is a warning, not an end: what was not written is written with the next.
    """

    def __init__(self, store: SnapshotStore[ServiceT]) -> None:
        self._store = store
        # What is to be written next. Written by ``keep`` and ``_put_back``, taken by ``flush``.
        self._changes: Snapshot[ServiceT] = Snapshot()
        # Set while there is something to write. Written with ``_changes``.
        self._filled = asyncio.Event()
        # Why the last write failed. Written by ``flush``.
        self._trouble: str | None = None
        # One thread: what comes later is written later, also when nobody waits for it any more.
        self._thread = ThreadPoolExecutor(1, "snapshot")

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now, None if it can."""
        return self._trouble

    async def load(self) -> Snapshot[ServiceT]:
        """Read what was kept."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._store.load)

    def keep(self, changes: Snapshot[ServiceT]) -> None:
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
        changes, self._changes = self._changes, Snapshot()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.save, changes)
        except OSError as error:
            self._put_back(changes)
            if self._trouble is None:
                _log.warning(
                    "the snapshot cannot be written: a restart without the source would serve an older one",
                    reason=str(error),
                    hint="see that the directory of the setting state_dir can be written and has space",
                )
            self._trouble = f"state_dir: the snapshot cannot be written: {error}"
        except asyncio.CancelledError:
            self._put_back(changes)  # whether it was written or not
            raise
        else:
            if self._trouble is not None:
                _log.info("the snapshot can be written again")
            self._trouble = None
            # The last to hold what was replaced meanwhile: freeing thousands at once would hold up others.
            while changes.services:
                for _ in range(min(_AT_ONCE, len(changes.services))):
                    changes.services.popitem()
                await asyncio.sleep(0)

    def _put_back(self, changes: Snapshot[ServiceT]) -> None:
        changes.absorb(self._changes)
        self._changes = changes
        self._filled.set()
