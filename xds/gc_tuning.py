"""How often Python looks for reference cycles, in a process that holds much and makes few of them.

By default it looks after every 700 new objects. One push to a thousand streams makes tens of thousands, all
of which go without that: looking costs a quarter of the push and finds nothing.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG = 20_000
"""New objects between two looks at them; cycles hold on to that many at most, some megabytes."""
_MIDDLE = 20
_OLD = 100


def look_rarely() -> None:
    """Set how often this process looks for cycles; for a process of our own, not for a library's user."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    _PAUSES.allowed = True


@contextmanager
def paused() -> Iterator[None]:
    """Do not look for the length of a block that makes much that stays, nor at that ever after.

    For start-up: a tenth of the time to import the program, and a third of that to read what was kept of ten
    thousand services, goes into looking. Does nothing in a process that does not ``look_rarely``.
    """
    _PAUSES.enter()
    try:
        yield
    finally:
        _PAUSES.leave()


class _Pauses:
    """The blocks that are under way in which nobody looks, in whatever threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Blocks that are under way. Written by ``enter`` and ``leave``, under the lock.
        self._count = 0
        # Whether this process may stop looking. Written by ``look_rarely``.
        self.allowed = False

    def enter(self) -> None:
        with self._lock:
            self._count += 1
            if self.allowed:
                gc.disable()

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self.allowed and self._count == 0:
                gc.freeze()  # or the first look would be at all of it, for the twentieth part of a second
                gc.enable()


_PAUSES = _Pauses()
