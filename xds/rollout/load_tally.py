"""Adds up what proxies report of the clusters under analysis, until an interval is over."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from xds.rollout.observation import Counts, Latencies, Observation
from xds.rules.instance import ServiceId
from xds.server import ClusterLoad, LoggedRequest

_OWN = 0
"""The priority of a cluster's own subset; higher ones are its fallback."""


class Sample(NamedTuple):
    """What an interval saw, for those who watch."""

    at: datetime
    weight: float
    gray: Counts
    baseline: Counts


@dataclass(slots=True)
class _Interval:
    gray: Counts = field(default_factory=Counts)
    baseline: Counts = field(default_factory=Counts)
    proxies: set[str] = field(default_factory=set)


class LoadTally:
    """What was reported since each service's interval began."""

    def __init__(self) -> None:
        # Which service a cluster belongs to, and whether it is the baseline's: by namespace and cluster.
        self._clusters: dict[tuple[str, str], tuple[ServiceId, bool]] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._intervals: dict[ServiceId, _Interval] = {}

    def watch(self, service: ServiceId, gray: Collection[str], baseline: Collection[str]) -> None:
        """Add up the load of these clusters of a service from now on; none: of no cluster."""
        for known in [known for known, (owner, _) in self._clusters.items() if owner == service]:
            del self._clusters[known]
        for cluster in gray:
            self._clusters[service.namespace, cluster] = (service, False)
        for cluster in baseline:
            self._clusters[service.namespace, cluster] = (service, True)
        if gray or baseline:
            self._intervals.setdefault(service, _Interval())
        else:
            self._intervals.pop(service, None)
        names = sorted(cluster for namespace, cluster in self._clusters if namespace == service.namespace)
        self._names[service.namespace] = tuple(names)

    def clusters(self, namespace: str) -> tuple[str, ...]:
        """Return the clusters of a namespace that proxies are to report."""
        return self._names.get(namespace, ())

    def reported(self, namespace: str, proxy: str, loads: Iterable[ClusterLoad]) -> None:
        """Add a report of a proxy."""
        for load in loads:
            known = self._clusters.get((namespace, load.cluster))
            if known is None:
                continue
            service, is_baseline = known
            own = [one for one in load.localities if one.priority == _OWN]
            errors = sum(one.failed for one in own)
            self.add(service, proxy, Counts(errors + sum(one.succeeded for one in own), errors), is_baseline)

    def logged(self, namespace: str, proxy: str, requests: Iterable[LoggedRequest]) -> None:
        """Add the latencies that a proxy logged."""
        found: dict[tuple[ServiceId, bool], list[float]] = {}
        for request in requests:
            if known := self._clusters.get((namespace, request.cluster)):
                found.setdefault(known, []).append(request.milliseconds)
        for (service, is_baseline), milliseconds in found.items():
            self.add(service, proxy, Counts(latencies=Latencies.of(milliseconds)), is_baseline)

    def add(self, service: ServiceId, proxy: str, counts: Counts, is_baseline: bool) -> None:
        """Add what a proxy saw of a subset."""
        interval = self._intervals.get(service)
        if interval is None:
            return
        interval.proxies.add(proxy)
        if is_baseline:
            interval.baseline += counts
        else:
            interval.gray += counts

    def seen(self, service: ServiceId) -> Observation:
        """Return what was seen of a service since its interval began."""
        interval = self._intervals.get(service, _Interval())
        return Observation(interval.gray, interval.baseline, len(interval.proxies))

    def totals(self) -> dict[ServiceId, tuple[Counts, Counts]]:
        """Return the counts of each service's subset and baseline since its interval began."""
        return {service: (one.gray, one.baseline) for service, one in self._intervals.items()}

    def begin(self, service: ServiceId) -> None:
        """Begin an interval anew."""
        if service in self._intervals:
            self._intervals[service] = _Interval()
