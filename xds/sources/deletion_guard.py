"""When a missing thing counts as deleted.

A place that was unreachable may come back with less than it held: a directory that is being filled again, a
registry that restarted and waits for its clients to register. And a place may lose all at once, by a wiped
disk. A guard therefore waits before it accepts such deletions, the longer the more still arrives.
"""

from typing import Literal

MassDeletion = Literal["wait", "never", "at_once"]
"""When a mass deletion is accepted: after a wait, never (until a restart), or at once."""

_LONGEST_WAIT = 20
"""The longest wait, as a multiple of the first."""


class DeletionGuard:
    """Decides whether a missing thing counts as deleted. Pure: time is an argument, in seconds.

    ``settle``: how long to wait after the place came back. The wait begins again and doubles whenever more
    is there than before. ``mass``: this many missing at once, if they are at least half of what was known,
    are treated as a place that was lost; None: only ``lost`` starts a wait.
    """

    def __init__(
        self, settle: float, *, mass: int | None = None, mass_deletion: MassDeletion = "wait"
    ) -> None:
        self._settle = settle
        self._mass = mass
        self._mass_deletion = mass_deletion
        # Whether the place is unreachable, or holds nothing after a loss. Written by ``lost`` and ``seen``.
        self._away = False
        # From when deletions are accepted; None when there is no wait. Written by ``seen``.
        self._accepted_from: float | None = None
        # The length of the current wait. Written by ``seen``.
        self._wait = settle
        # How many things were there at the last reading, and whether very many were missing.
        self._present = 0
        self._is_mass = False

    @property
    def away(self) -> bool:
        """Whether the place is unreachable, or holds nothing after a loss."""
        return self._away

    def lost(self) -> None:
        """Record that the place cannot be read."""
        self._away = True
        self._accepted_from = None

    def seen(self, *, present: int, missing: int, now: float) -> None:
        """Record a reading: how many things were there, and how many of those known were not."""
        self._is_mass = self._mass is not None and missing >= self._mass and missing * 2 >= present + missing
        if self._mass_deletion == "at_once":
            self._away = False
        elif missing == 0 and not self._away and self._is_over(now):
            self._accepted_from = None
        elif self._away:
            if present or not missing:
                self._away = False
                self._begin(self._settle, now)
        elif self._accepted_from is not None:
            if present > self._present and not self._is_over(now):
                self._begin(min(self._wait * 2, self._settle * _LONGEST_WAIT), now)
        elif self._is_mass:
            self._away = present == 0
            if present:
                self._begin(self._settle, now)
        self._present = present

    def _begin(self, wait: float, now: float) -> None:
        self._wait = wait
        self._accepted_from = now + wait

    def _is_over(self, now: float) -> bool:
        return self._accepted_from is not None and now >= self._accepted_from

    def accepts(self, now: float) -> bool:
        """Whether what is missing now is deleted."""
        if self._away:
            return False
        if self._accepted_from is None:
            return True
        return now >= self._accepted_from and not (self._is_mass and self._mass_deletion == "never")

    def settles_in(self, now: float) -> float | None:
        """Return the seconds until deletions are accepted again; None if they are, or only an event tells."""
        if self._away or self._accepted_from is None or now >= self._accepted_from:
            return None
        return self._accepted_from - now
