"""When a missing thing counts as deleted.

A place that was unreachable may come back with less than it held: a directory that is being filled again, a
registry that restarted and waits for its clients to register. A guard therefore accepts deletions only after
the place has held something for a while.
"""


class DeletionGuard:
    """Decides whether a missing thing counts as deleted. Pure: time is an argument, in seconds.

    ``settle``: how long a place that came back must have held something before deletions are accepted.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        # Whether the place is unreachable, or came back empty. Written by `lost` and `seen`.
        self._away = False
        # From when deletions are accepted. Written by `seen`.
        self._accepted_from = float("-inf")

    @property
    def away(self) -> bool:
        """Whether the place is unreachable, or came back empty."""
        return self._away

    def lost(self) -> None:
        """Record that the place cannot be read."""
        self._away = True

    def seen(self, *, empty: bool, now: float) -> None:
        """Record that the place was read, and whether it held anything."""
        if self._away and not empty:
            self._away = False
            self._accepted_from = now + self._settle

    def accepts(self, now: float) -> bool:
        """Whether what is missing now is deleted."""
        return not self._away and now >= self._accepted_from

    def settles_in(self, now: float) -> float | None:
        """Seconds until deletions are accepted again; None if they are, or if only an event can tell."""
        if self._away or now >= self._accepted_from:
            return None
        return self._accepted_from - now
