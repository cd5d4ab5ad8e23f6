"""What the access log of an edge says about where requests went, counted."""

import json
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

WINDOW = 10
"""Seconds that count as recent."""


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """Where a request went: by which rule of which service, to which subset, and which version answered.

    ``subset`` is '' when the service has none. A request that no route took has no service; ``rule`` then
    is the host that it asked for.
    """

    service: str
    rule: str
    subset: str
    version: str


@dataclass(frozen=True, slots=True)
class Row:
    """How many requests took one path. ``recent`` counts those of the last seconds, ``share`` is their
    part (0 to 1) of the recent requests by the same rule; None when there were none.
    """

    path: Destination
    recent: int
    share: float | None
    total: int
    failures: int


class Traffic:
    """Counts of requests, all of them and the recent ones."""

    def __init__(self, versions: dict[str, str]) -> None:
        """``versions`` has the version of each instance, by ``address:port``."""
        self._versions = versions
        # Requests since the start, and those of them that failed. Written by ``add``, as is the next.
        self._total: Counter[Destination] = Counter()
        self._failures: Counter[Destination] = Counter()
        # Requests of the last seconds: the second, and the counts in it.
        self._recent: deque[tuple[int, Counter[Destination]]] = deque()

    def add(self, line: bytes, now: float) -> None:
        """Count a line of the access log, at a time in seconds."""
        record = json.loads(line)
        path = self._path(record)
        self._total[path] += 1
        self._failures[path] += int(record["response_code"]) >= 500 or not record["response_code"]
        second = int(now)
        if not self._recent or self._recent[-1][0] != second:
            self._recent.append((second, Counter()))
        self._recent[-1][1][path] += 1

    def rows(self, now: float) -> list[Row]:
        """Return the counts by path, in order; requests that no route took come last."""
        while self._recent and self._recent[0][0] <= now - WINDOW:
            self._recent.popleft()
        recent = _sum(counter for _, counter in self._recent)
        by_rule: Counter[tuple[str, str]] = Counter()
        for path, count in recent.items():
            by_rule[path.service, path.rule] += count
        return [
            Row(
                path,
                recent[path],
                recent[path] / by_rule[path.service, path.rule] if by_rule[path.service, path.rule] else None,
                self._total[path],
                self._failures[path],
            )
            for path in sorted(self._total, key=lambda path: (not path.service, path))
        ]

    def _path(self, record: dict[str, object]) -> Destination:
        cluster = record.get("cluster")
        if not cluster:
            return Destination("", str(record.get("authority") or ""), "", "")
        service, _, subset = str(cluster).partition("|")
        instance = str(record.get("upstream_host") or "")
        return Destination(
            service, str(record.get("route") or ""), subset, self._versions.get(instance, instance)
        )


def _sum(counters: Iterable[Counter[Destination]]) -> Counter[Destination]:
    total: Counter[Destination] = Counter()
    for counter in counters:
        total.update(counter)
    return total
