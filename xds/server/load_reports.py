"""Load reporting (LRS, ``load_stats/v3/lrs.proto``): what clients say of the requests that they sent.

The client speaks first, to say who it is. The server answers which clusters it wants to hear of and how
often, and from then on the client reports. A client of which nothing is wanted gets no answer until something
is: it sends nothing, and costs nothing but its open stream.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import grpc
import grpc.aio

from xds.server.authorization import Authorization
from xds.server.errors import StreamError
from xds.server.limits import Limits
from xds.server.requests import loaded, node_of, requests
from xds.server.stream_handler import Context, peer_of
from xds.wire import Locality, Node
from xds.wire.descriptors import RpcMethod, message_class

SERVICE = "envoy.service.load_stats.v3.LoadReportingService"
METHOD = RpcMethod(
    SERVICE,
    "StreamLoadStats",
    "envoy.service.load_stats.v3.LoadStatsRequest",
    "envoy.service.load_stats.v3.LoadStatsResponse",
)
_SENDS_ALL = "envoy.lrs.supports_send_all_clusters"
_RARELY = 3600.0
"""Seconds between reports of nothing: when something is wanted again, a client is told at once."""
_COALESCED = 0.05
"""Seconds in which changes of what is wanted are taken together."""
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
    seconds. ``clusters`` names those that a node is to report, None stands for all. When its answers change,
    ``LoadReports.changed`` is to be called.
    """

    observer: Callable[[Node, tuple[ClusterLoad, ...]], None]
    interval: float = 10.0
    clusters: Callable[[Node], Collection[str] | None] = lambda _: None


@dataclass(slots=True, eq=False)
class _Reporter:
    """A client whose first request came. ``asked`` is what it was last asked; ``life`` ends its stream."""

    node: Node
    context: Context
    life: asyncio.Timeout
    asked: Collection[str] | None = ()

    def end(self) -> None:
        """End the stream in good order; the client opens another one."""
        self.life.reschedule(asyncio.get_running_loop().time())


class LoadReports:
    """Serves one stream of load reports after the other."""

    def __init__(self, reporting: LoadReporting, limits: Limits, authorization: Authorization | None) -> None:
        self._reporting = reporting
        self._limits = limits
        self._authorization = authorization
        # Dict and set for those that are there; written by ``stream`` and ``changed``.
        self._reporters: dict[_Reporter, None] = {}
        self._asking: set[asyncio.Task[None]] = set()
        # Whether what is wanted changed, and not all clients were looked at since.
        self._pending = False

    async def stream(self, context: Context) -> None:
        """Serve a stream to its end. Raise ``StreamError`` where the client is at fault."""
        reporter: _Reporter | None = None
        await loaded(METHOD.response)
        try:
            async with asyncio.timeout(None) as life:
                async for request in requests(context, METHOD.request, self._limits):
                    if reporter is None:
                        reporter = _Reporter(self._node(request, context), context, life)
                        self._reporters[reporter] = None
                        await self._ask(reporter)
                    if request.cluster_stats:
                        self._reporting.observer(reporter.node, tuple(_clusters(request)))
        except TimeoutError:
            pass  # ``end``
        finally:
            if reporter:
                del self._reporters[reporter]

    def changed(self) -> None:
        """Ask clients anew, those of which something else is wanted than before: once for many changes."""
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_later(_COALESCED, self._ask_all)

    def _ask_all(self) -> None:
        self._pending = False
        for reporter in self._reporters:
            if self._wanted(reporter) != reporter.asked:
                task = asyncio.create_task(self._ask_again(reporter))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    def _node(self, request: Any, context: Context) -> Node:
        node = node_of(request.node, self._limits)
        if self._authorization:
            self._authorization.check(node, peer_of(context))
        return node

    def _wanted(self, reporter: _Reporter) -> Collection[str] | None:
        names = self._reporting.clusters(reporter.node)
        return None if names is None else tuple(sorted(names))

    async def _ask_again(self, reporter: _Reporter) -> None:
        try:
            await self._ask(reporter)
        except StreamError:
            reporter.end()  # it is told why when it comes again

    async def _ask(self, reporter: _Reporter) -> None:
        """Tell a client what is wanted of it, if that is new.

        One that was asked for all, and is to report nothing, is sent away: gRPC's client for Go reads the
        first answer alone, and takes a list without names for all.
        """
        wanted = self._wanted(reporter)
        if wanted == reporter.asked:
            return
        if reporter.asked is None:
            reporter.end()
            return
        reporter.asked = wanted
        if wanted is None and _SENDS_ALL not in reporter.node.client_features:
            raise StreamError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the load of all clusters is wanted, and node.client_features lacks {_SENDS_ALL}",
            )
        response = message_class(METHOD.response)(
            clusters=wanted or (),
            send_all_clusters=wanted is None,
            load_reporting_interval=timedelta(seconds=_RARELY if wanted == () else self._reporting.interval),
        )
        with suppress(grpc.aio.InternalError, asyncio.InvalidStateError):  # it is gone
            await reporter.context.write(response.SerializeToString())


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
