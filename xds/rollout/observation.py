"""What was seen of a service in an interval: counts, and how long answers took."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

_GROWTH = math.log(1.02)
_NO_LATENCIES: Mapping[int, int] = {}


class Side(StrEnum):
    """Which of the two subsets that a rollout compares."""

    GRAY = "gray"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Latencies:
    """How many answers took how long, in buckets that are each 2 % wider than the one before.

    Latencies of many proxies add up, and a quantile is right to 2 %.
    """

    buckets: Mapping[int, int] = field(default_factory=lambda: _NO_LATENCIES)

    @classmethod
    def of(cls, milliseconds: Iterable[float]) -> Self:
        """Count some latencies."""
        return cls(Counter(map(_bucket, milliseconds)))

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.buckets.values())

    def slower_than(self, milliseconds: float) -> int:
        """Count those that took longer."""
        limit = _bucket(milliseconds)
        return sum(count for bucket, count in self.buckets.items() if bucket > limit)

    def quantile(self, share: float) -> float:
        """Return what a ``share`` (0 to 1) of them did not exceed, in milliseconds; there must be some."""
        rank = max(1, math.ceil(share * self.count))
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return math.exp(bucket * _GROWTH)
        raise ValueError("there are no latencies")

    def __add__(self, other: Self) -> Self:
        if not self.buckets or not other.buckets:
            return self if self.buckets else other
        return type(self)(Counter(self.buckets) + Counter(other.buckets))


@dataclass(frozen=True, slots=True)
class Counts:
    """The requests to one subset in an interval.

    ``errors`` are those without an answer, with a 5xx, or with a gRPC status that means the server failed.
    ``latencies`` may be of a sample. ``exposed`` is how often an application was told to use the subset
    (OFREP): what came of it, nobody reports.
    """

    requests: int = 0
    errors: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    exposed: int = 0

    @property
    def uses(self) -> int:
        """Requests and evaluations together: how much the subset was used."""
        return self.requests + self.exposed

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.requests + other.requests,
            self.errors + other.errors,
            self.latencies + other.latencies,
            self.exposed + other.exposed,
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """The subset under release (``gray``) and the baseline over the same interval.

    ``proxies`` is how many reported anything at all; ``prometheus`` has the value of each query that was
    answered.
    """

    gray: Counts = field(default_factory=Counts)
    baseline: Counts = field(default_factory=Counts)
    proxies: int = 0
    prometheus: Mapping[str, float] = field(default_factory=dict)


def _bucket(milliseconds: float) -> int:
    return math.ceil(math.log(max(milliseconds, 0.01)) / _GROWTH - 1e-9)
