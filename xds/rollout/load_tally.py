"""Adds up what proxies report of the clusters under analysis, until an interval is over."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from xds.compiler.access_log import FALLBACK_TAG
from xds.rollout.observation import Counts, Latencies, Observation, Side
from xds.rules.instance import ServiceId
from xds.server import ClusterLoad, LoggedRequest

_OWN = 0
"""The priority of a cluster's own subset; higher ones are its fallback."""

_APPLICATIONS = "applications"
"""Stands for all that ask by OFREP among the clients that report."""


class Sample(NamedTuple):
    """What an interval saw, for those who watch."""

    at: datetime
    weight: float
    gray: Counts
    baseline: Counts


@dataclass(slots=True)
class _Interval:
    """What was reported in an interval; both fields are written by ``LoadTally.add``."""

    counts: dict[Side, Counts] = field(default_factory=lambda: dict.fromkeys(Side, Counts()))
    proxies: set[str] = field(default_factory=set)


Clusters = Mapping[str, str | None]
"""The clusters of a service by name, with the subset of each. None: they have several subsets, each in a
locality whose zone has its name."""


class _Watched(NamedTuple):
    """A cluster under analysis, and the subsets of its service that are looked at."""

    service: ServiceId
    subset: str | None
    sides: Mapping[str, Side]


class LoadTally:
    """What was reported since each service's interval began.

    ``changed`` is called when other clusters are watched than before.
    """

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        # By namespace and cluster, and those of each service. Written by ``_replace``.
        self._clusters: dict[tuple[str, str], _Watched] = {}
        self._of_service: dict[ServiceId, Mapping[tuple[str, str], _Watched]] = {}
        # By namespace, once asked for; until the clusters change.
        self._names: dict[str, tuple[str, ...]] = {}
        # What was reported since the interval of each service began. Written by ``watch``, ``begin``,
        # ``add`` and ``ignore``.
        self._intervals: dict[ServiceId, _Interval] = {}
        # The subsets of each service that are looked at. Written by ``watch`` and ``ignore``.
        self._sides: dict[ServiceId, Mapping[str, Side]] = {}

    def watch(self, service: ServiceId, gray: str, baseline: str, clusters: Clusters) -> None:
        """Add up the load of two subsets of a service from now on."""
        sides = {gray: Side.GRAY, baseline: Side.BASELINE}
        self._intervals.setdefault(service, _Interval())
        self._sides[service] = sides
        self._replace(
            service,
            {
                (service.namespace, name): _Watched(service, subset, sides)
                for name, subset in clusters.items()
                if subset is None or subset in sides
            },
        )

    def ignore(self, service: ServiceId) -> None:
        """Add up the load of a service no longer."""
        self._intervals.pop(service, None)
        self._sides.pop(service, None)
        self._replace(service, {})

    def _replace(self, service: ServiceId, watched: Mapping[tuple[str, str], _Watched]) -> None:
        before = self._of_service.pop(service, {})
        if watched:
            self._of_service[service] = watched
        if watched == before:
            return
        for known in before:
            del self._clusters[known]
        self._clusters.update(watched)
        self._names.pop(service.namespace, None)
        self.changed()

    def clusters(self, namespace: str) -> tuple[str, ...]:
        """Return the clusters of a namespace that proxies are to report, in order."""
        names = self._names.get(namespace)
        if names is None:
            known = (at for at, one in self._clusters.items() if one.subset is not None)
            names = tuple(sorted(cluster for there, cluster in known if there == namespace))
            self._names[namespace] = names
        return names

    def by_namespace(self) -> dict[str, tuple[str, ...]]:
        """Return the clusters that proxies are to report, of all namespaces that have any."""
        return {namespace: self.clusters(namespace) for namespace, _ in self._clusters}

    def reported(
        self, namespace: str, client: str, loads: Iterable[ClusterLoad], *, zones_are_subsets: bool
    ) -> None:
        """Add a report of a proxy or a gRPC client.

        What a fallback served is nobody's. A proxy tells it by its priority. A gRPC client, which may leave
        out the priority, tells it by the zone: ``zones_are_subsets``.
        """
        for load in loads:
            known = self._clusters.get((namespace, load.cluster))
            if known is None:
                continue
            for one in load.localities:
                own = known.subset if one.priority == _OWN else None
                served = one.locality.zone if zones_are_subsets else own
                if served is not None and served in known.sides and known.subset in {served, None}:
                    counts = Counts(one.failed + one.succeeded, one.failed)
                    self.add(known.service, known.sides[served], client, counts)
            if known.subset is not None and not load.localities:
                self.add(known.service, known.sides[known.subset], client, Counts())

    def logged(self, namespace: str, proxy: str, requests: Iterable[LoggedRequest]) -> None:
        """Add the latencies that a proxy logged; not those of a fallback."""
        found: dict[tuple[ServiceId, Side], list[float]] = {}
        for request in requests:
            known = self._clusters.get((namespace, request.cluster))
            if known and known.subset is not None and FALLBACK_TAG not in request.tags:
                at = known.service, known.sides[known.subset]
                found.setdefault(at, []).append(request.milliseconds)
        for (service, side), milliseconds in found.items():
            self.add(service, side, proxy, Counts(latencies=Latencies.of(milliseconds)))

    def exposed(self, service: ServiceId, subset: str) -> None:
        """Add an evaluation: an application was told to use a subset."""
        sides = self._sides.get(service)
        if sides and subset in sides:
            self.add(service, sides[subset], _APPLICATIONS, Counts(exposed=1))

    def add(self, service: ServiceId, side: Side, proxy: str, counts: Counts) -> None:
        """Add what a proxy saw of a subset."""
        if interval := self._intervals.get(service):
            interval.proxies.add(proxy)
            interval.counts[side] += counts

    def seen(self, service: ServiceId) -> Observation:
        """Return what was seen of a service since its interval began."""
        interval = self._intervals.get(service, _Interval())
        counts = interval.counts
        return Observation(counts[Side.GRAY], counts[Side.BASELINE], len(interval.proxies))

    def totals(self) -> dict[ServiceId, Mapping[Side, Counts]]:
        """Return the counts of each service since its interval began."""
        return {service: interval.counts for service, interval in self._intervals.items()}

    def begin(self, service: ServiceId) -> None:
        """Begin an interval anew."""
        if service in self._intervals:
            self._intervals[service] = _Interval()
