"""Following a directory: every settled change of its files, whatever happens to the directory."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from watchfiles import awatch

from xds.sources.deletion_guard import DeletionGuard
from xds.sources.files.directory import Directory, Look
from xds.sources.files.settling import Seen, Settling

RESCAN = 1.0
"""Seconds between looks when nothing announces a change: for file systems and links without announcements."""

SETTLE = 5.0
"""Seconds after a lost directory is back until what it lacks counts as deleted."""

_FIRST_LOOK = 5.0
"""Seconds to wait at most, at the start, for files that keep changing."""


class WatchedDirectory:
    """Reports what the documents of one directory are, from the start on.

    ``deliver`` gets what became certain: content, that a file is gone (None), or why it cannot be read.
    ``report`` gets what is wrong, by what it is about, None when it is well again.
    """

    def __init__(
        self,
        path: Path,
        deliver: Callable[[Mapping[str, Seen]], Awaitable[None]],
        report: Callable[[str, str | None], None],
    ) -> None:
        self._path = path
        self._deliver = deliver
        self._report = report
        self._directory = Directory(path)
        self._settling = Settling()
        self._deletions = DeletionGuard(SETTLE)
        # Which directory was last seen; None: none. Written by ``_notice``.
        self._identity: tuple[int, int] | None = None
        # Set when the system announces a change. Cleared by ``_looks``.
        self._changed = asyncio.Event()
        # Set when another directory is to be watched. Written by ``_notice``, cleared by ``_announcements``.
        self._watch_again = asyncio.Event()
        self.complete = asyncio.Event()
        """Set once everything that was there at the start has been delivered."""
        self.last_look: float | None = None
        """When the directory was last read, as Unix time."""

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(set(self._settling.names))

    async def follow(self) -> None:
        """Look, deliver and wait for changes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._announcements())
            await self._looks()

    async def _looks(self) -> None:
        clock = asyncio.get_running_loop().time
        began: float | None = None
        while True:
            self._changed.clear()
            look = await asyncio.to_thread(self._directory.look)
            now = clock()
            self._notice(look, now)
            if look.lost is None:
                self.last_look = time.time()
                began = now if began is None else began
                news = self._settling.look(look.files, now, accept_deletions=self._deletions.accepts(now))
                if news:
                    await self._deliver(news)
                if self._settling.settles_in(now) is None or now - began > _FIRST_LOOK:
                    self.complete.set()
            await self._pause(clock())

    def _notice(self, look: Look, now: float) -> None:
        """Keep up with whether the directory is there, and is the one that is watched."""
        if look.identity != self._identity:
            if self._identity is not None:
                self._deletions.lost()
            self._identity = look.identity
            self._watch_again.set()
        if look.lost is None:
            missing = len(set(self._settling.names) - look.files.keys())
            self._deletions.seen(present=len(look.files), missing=missing, now=now)
        self._report(f"{self._path}", self._lack(look))
        misnamed = ", ".join(look.misnamed)
        self._report(
            f"{self._path} names",
            f"{self._path}: ignored, rename to plain text: {misnamed}" if misnamed else None,
        )

    def _lack(self, look: Look) -> str | None:
        if look.lost is not None:
            return f"{look.lost}; what was last read stays in force"
        if self._deletions.away:
            return f"{self._path}: came back empty; what was last read stays in force until it holds a file"
        return None

    async def _pause(self, now: float) -> None:
        settles = (self._settling.settles_in(now), self._deletions.settles_in(now))
        wait = min([RESCAN, *(each for each in settles if each is not None)])
        try:
            # Never shorter than the time between two looks, or they would be one.
            async with asyncio.timeout(max(wait, 0.01)):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _announcements(self) -> None:
        while True:
            self._watch_again.clear()
            failed: str | None = None
            try:
                async for changes in awatch(
                    self._path,
                    watch_filter=None,
                    debounce=100,
                    step=20,
                    recursive=False,
                    stop_event=self._watch_again,
                    ignore_permission_denied=True,
                    rust_timeout=int(RESCAN * 1000),
                    yield_on_timeout=True,
                ):
                    self._report(f"{self._path} announcements", None)  # It works (again).
                    if changes:
                        self._changed.set()
            except FileNotFoundError:
                pass
            except (OSError, RuntimeError) as error:
                failed = f"{self._path}: cannot be watched ({error}); it is read every {RESCAN:g} s instead"
            self._report(f"{self._path} announcements", failed)
            if not self._watch_again.is_set():
                await asyncio.sleep(RESCAN)
