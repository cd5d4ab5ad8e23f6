"""When to believe that something is gone.

A source that was away and came back may know less than it did: a directory that is being filled again, a
registry that restarted and waits for its clients to register. Losing the place is not losing what was in
it, so what is missing there is believed only when the place has had something in it for a while.
"""


class Absence:
    """Decides whether a missing thing counts as gone. Pure: the caller passes the time, in seconds.

    ``settle`` is how long a place that came back must have held anything before what it lacks is gone.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._away = False
        self._believed_from = float("-inf")

    @property
    def away(self) -> bool:
        """Whether the place is lost, or came back with nothing in it."""
        return self._away

    def lost(self) -> None:
        """The place cannot be read."""
        self._away = True

    def seen(self, *, empty: bool, now: float) -> None:
        """The place was read, and held something or nothing."""
        if self._away and not empty:
            self._away = False
            self._believed_from = now + self._settle

    def is_believed(self, now: float) -> bool:
        """Whether what is missing now is gone."""
        return not self._away and now >= self._believed_from

    def settles_in(self, now: float) -> float | None:
        """Seconds until absence is believed again; None when it is, or when nothing but an event can tell."""
        if self._away or now >= self._believed_from:
            return None
        return self._believed_from - now
