"""When services change by themselves, by the wall clock."""

import heapq

from xds.rules.instance import ServiceId

_BACK = 2.0
"""Seconds by which the wall clock must go back to count as set back."""


class Timers:
    """The next time of each service, in seconds since the epoch; the wall clock may be set meanwhile.

    A clock that is set forward makes due what it passes. After it was set back, all services that ever had a
    time are due: what they are compiled to may belong to a time that is yet to come.
    """

    def __init__(self) -> None:
        # By service. Written by ``put``, cleared by ``take``.
        self._times: dict[ServiceId, float] = {}
        # The same, the earliest first, with times that do not count any more.
        self._heap: list[tuple[float, ServiceId]] = []
        # The services that ever had a time. Written by ``put``.
        self._ever: set[ServiceId] = set()
        # The time when ``due`` was last asked.
        self._last = 0.0

    @property
    def next(self) -> float | None:
        """The earliest time, None if there is none."""
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def put(self, service: ServiceId, when: float | None) -> None:
        """Set the time of a service; None: it does not change by itself."""
        if when is None:
            self._times.pop(service, None)
        elif self._times.get(service) != when:
            self._times[service] = when
            self._ever.add(service)
            heapq.heappush(self._heap, (when, service))

    def due(self, now: float) -> bool:
        """Whether the time of any service has come."""
        if now < self._last - _BACK:
            for service in self._ever:
                self.put(service, now)
        self._last = now
        return (when := self.next) is not None and when <= now

    def take(self, now: float) -> set[ServiceId]:
        """Return the services whose time has come; they have none until it is set anew."""
        found: set[ServiceId] = set()
        while (when := self.next) is not None and when <= now:
            service = heapq.heappop(self._heap)[1]
            del self._times[service]
            found.add(service)
        return found
