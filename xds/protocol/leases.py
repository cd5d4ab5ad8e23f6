"""When what was sent with a time to live must be renewed ("TTL")."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from xds.cache import Ref

_RENEWED_AFTER = 0.5
"""Of the time to live; the other half is for a slow network or a busy server."""

_SLACK = 64


class Leases:
    """Resources that the client removes unless they are renewed in time."""

    def __init__(self) -> None:
        # When each resource must be renewed; written by ``renew`` and ``end``.
        self._due: dict[Ref, float] = {}
        # Those whose time has come; written by ``due``, cleared by ``renew`` and ``end``.
        self._overdue: dict[Ref, None] = {}
        # A heap of times, with old entries of what was renewed since.
        self._queue: list[tuple[float, Ref]] = []

    def __bool__(self) -> bool:
        return bool(self._queue or self._overdue)

    def renew(self, ref: Ref, ttl: float, now: float) -> None:
        """Note that, from ``now``, the client keeps a resource for ``ttl`` seconds."""
        due = now + ttl * _RENEWED_AFTER
        self._due[ref] = due
        self._overdue.pop(ref, None)
        heappush(self._queue, (due, ref))
        if len(self._queue) > 2 * len(self._due) + _SLACK:
            self._queue = [(due, ref) for ref, due in self._due.items() if ref not in self._overdue]
            heapify(self._queue)

    def end(self, ref: Ref) -> None:
        """Forget a resource that needs no renewal any more."""
        self._due.pop(ref, None)
        self._overdue.pop(ref, None)

    def due(self, now: float) -> Iterable[Ref]:
        """Return what must be renewed now."""
        while self._queue and self._queue[0][0] <= now:
            due, ref = heappop(self._queue)
            if self._due.get(ref) == due:
                self._overdue[ref] = None
        return tuple(self._overdue)

    @property
    def next(self) -> float | None:
        """When something must be renewed that was not due when last asked."""
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heappop(self._queue)
        return self._queue[0][0] if self._queue else None
