"""Load reporting (LRS, ``load_stats/v3/lrs.proto``): what clients say of the requests that they sent.

The client speaks first, to say who it is. The server answers which clusters it wants to hear of and how
often, and from then on the client reports.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import grpc

from xds.server.authorization import Authorization
from xds.server.errors import StreamError
from xds.server.limits import Limits
from xds.server.requests import loaded, node_of, requests
from xds.server.stream_handler import Context, peer_of
from xds.wire import Locality, Node
from xds.wire.descriptors import RpcMethod

SERVICE = "envoy.service.load_stats.v3.LoadReportingService"
METHOD = RpcMethod(
    SERVICE,
    "StreamLoadStats",
    "envoy.service.load_stats.v3.LoadStatsRequest",
    "envoy.service.load_stats.v3.LoadStatsResponse",
)
_SENDS_ALL = "envoy.lrs.supports_send_all_clusters"
_UTILIZATIONS = ("cpu_utilization", "mem_utilization", "application_utilization")


class Metric(NamedTuple):
    """A metric that the endpoints sent with their responses (ORCA), over an interval."""

    requests: int
    """Requests that ended with this metric."""
    total: float
    """The sum of its values."""


@dataclass(frozen=True, slots=True)
class LocalityLoad:
    """The requests to the endpoints of one locality and priority in an interval."""

    locality: Locality
    priority: int
    issued: int
    succeeded: int
    failed: int
    in_progress: int
    """At the end of the interval."""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """By name: ``cpu_utilization``, ``mem_utilization``, ``application_utilization`` and the endpoints' own,
    some clients put ``named_metrics.`` before these."""


@dataclass(frozen=True, slots=True)
class ClusterLoad:
    """The requests to one cluster in an interval; ``localities`` is empty if there were none.

    ``service`` is the cluster's name in EDS where that is another. ``interval`` is in seconds, as the client
    measured it. ``dropped`` counts all requests that the client dropped itself, ``drop_categories`` those of
    a category of ``ClusterLoadAssignment.policy.drop_overloads``.
    """

    cluster: str
    service: str
    interval: float
    dropped: int
    localities: tuple[LocalityLoad, ...]
    drop_categories: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadReporting:
    """What is asked of clients, and who is told.

    ``observer`` is called in the event loop with every report and must not block. ``interval`` is in
    seconds. ``clusters`` names those that a node is to report, anew with each report; None stands for all.
    """

    observer: Callable[[Node, tuple[ClusterLoad, ...]], None]
    interval: float = 10.0
    clusters: Callable[[Node], Collection[str]] | None = None


class LoadReports:
    """Serves one stream of load reports after the other."""

    def __init__(self, reporting: LoadReporting, limits: Limits, authorization: Authorization | None) -> None:
        self._reporting = reporting
        self._limits = limits
        self._authorization = authorization

    async def stream(self, context: Context) -> None:
        """Serve a stream to its end. Raise ``StreamError`` where the client is at fault."""
        node: Node | None = None
        asked: Any = None
        response = await loaded(METHOD.response)
        async for request in requests(context, METHOD.request, self._limits):
            if node is None:
                node = node_of(request.node, self._limits)
                if self._authorization:
                    self._authorization.check(node, peer_of(context))
            wanted = response(**self._wanted(node))
            if wanted != asked:
                await context.write(wanted.SerializeToString())
                asked = wanted
            if request.cluster_stats:
                self._reporting.observer(node, tuple(_clusters(request)))

    def _wanted(self, node: Node) -> dict[str, Any]:
        """Return the fields of the LoadStatsResponse that says what a node is to report."""
        interval = timedelta(seconds=self._reporting.interval)
        if self._reporting.clusters is not None:
            names = sorted(self._reporting.clusters(node))
            return {"clusters": names, "load_reporting_interval": interval}
        if _SENDS_ALL not in node.client_features:
            raise StreamError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the load of all clusters is wanted, and node.client_features lacks {_SENDS_ALL}",
            )
        return {"send_all_clusters": True, "load_reporting_interval": interval}


def _clusters(request: Any) -> Iterator[ClusterLoad]:
    for cluster in request.cluster_stats:
        yield ClusterLoad(
            cluster=cluster.cluster_name,
            service=cluster.cluster_service_name,
            interval=cluster.load_report_interval.ToNanoseconds() / 1e9,
            dropped=cluster.total_dropped_requests,
            localities=tuple(map(_locality, cluster.upstream_locality_stats)),
            drop_categories={each.category: each.dropped_count for each in cluster.dropped_requests},
        )


def _locality(stats: Any) -> LocalityLoad:
    where = stats.locality
    return LocalityLoad(
        locality=Locality(where.region, where.zone, where.sub_zone),
        priority=stats.priority,
        issued=stats.total_issued_requests,
        succeeded=stats.total_successful_requests,
        failed=stats.total_error_requests,
        in_progress=stats.total_requests_in_progress,
        metrics=dict(_metrics(stats)),
    )


def _metrics(stats: Any) -> Iterator[tuple[str, Metric]]:
    for name in _UTILIZATIONS:
        if stats.HasField(name):
            value = getattr(stats, name)
            yield name, Metric(value.num_requests_finished_with_metric, value.total_metric_value)
    for value in stats.load_metric_stats:
        yield value.metric_name, Metric(value.num_requests_finished_with_metric, value.total_metric_value)
