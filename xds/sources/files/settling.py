"""When a file that is being saved has been saved.

Editors save in many ways: a new file renamed over the old one, the old one truncated and filled again,
the old one moved away first. Whoever looks at the wrong moment sees an empty file, half a file or none.
So what is seen is taken for the file's content only after it was seen unchanged for a while, and the
while is longer for what looks like the middle of a save.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CLOSED = 0.04
"""Seconds for content that no process can still be writing: two looks."""

UNKNOWN = 0.15
"""Seconds for content when the system does not say whether it is still being written."""

MISSING = 0.5
"""Seconds for a file that is not there or cannot be read."""

BLANK = 1.0
"""Seconds for a file with nothing in it."""

OPEN = 3.0
"""Seconds for content that a process still has open for writing: some hold files open for ever."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file's bytes. ``open_for_writing`` is None where the system does not tell."""

    data: bytes
    open_for_writing: bool | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is there and cannot be read, and why."""

    reason: str


Seen = FileContent | Unreadable | None
"""One look at one file; None: there is none."""


def patience(seen: Seen) -> float:
    """Return the seconds that a file must look the same before it is believed."""
    match seen:
        case None | Unreadable():
            return MISSING
        case FileContent(open_for_writing=True):
            return OPEN
        case FileContent(data) if not data.strip():
            return BLANK
        case FileContent(open_for_writing=False):
            return CLOSED
        case _:
            return UNKNOWN


@dataclass(slots=True)
class _Pending:
    seen: Seen
    since: float


class Settling:
    """What the files of one directory are known to be, from looks at them. Pure: time is passed in."""

    def __init__(self) -> None:
        # What each file is known to be. Written by ``look``, as is the next.
        self._settled: dict[str, FileContent | Unreadable] = {}
        # What each file was last seen to be, and is not believed yet.
        self._pending: dict[str, _Pending] = {}

    @property
    def names(self) -> Iterable[str]:
        """Every file known or seen."""
        return {*self._settled, *self._pending}

    def look(
        self, files: Mapping[str, FileContent | Unreadable], now: float, *, accept_deletions: bool
    ) -> dict[str, Seen]:
        """Return what a look at all files at ``now`` makes certain, by name; only what is new.

        ``accept_deletions``: whether a missing file counts as deleted.
        """
        news: dict[str, Seen] = {}
        for name in sorted({*files, *self.names}):
            seen = files.get(name)
            if self._is_known(name, seen) or (seen is None and not accept_deletions):
                self._pending.pop(name, None)
                continue
            pending = self._pending.get(name)
            if pending is None or pending.seen != seen:
                pending = self._pending[name] = _Pending(seen, now)
            if now - pending.since < patience(seen):
                continue
            del self._pending[name]
            news[name] = seen
            if seen is None:
                self._settled.pop(name, None)
            else:
                self._settled[name] = seen
        return news

    def _is_known(self, name: str, seen: Seen) -> bool:
        known = self._settled.get(name)
        if isinstance(known, FileContent) and isinstance(seen, FileContent):
            return known.data == seen.data
        return known == seen

    def settles_in(self, now: float) -> float | None:
        """Return the seconds until the next file can have settled; None when all have."""
        return min((max(0.0, p.since + patience(p.seen) - now) for p in self._pending.values()), default=None)
