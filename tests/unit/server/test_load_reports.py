"""Load reporting over real gRPC."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import grpc
from envoy_data_plane.envoy.config.core.v3 import Locality as LocalityMessage
from envoy_data_plane.envoy.config.core.v3 import Node as NodeMessage
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterStats,
    ClusterStatsDroppedRequests,
    EndpointLoadMetricStats,
    UnnamedEndpointLoadMetricStats,
    UpstreamLocalityStats,
)
from envoy_data_plane.envoy.service.load_stats.v3 import LoadStatsRequest, LoadStatsResponse

from tests.unit.server.clients import RawStream, running
from xds.server.load_reports import ClusterLoad, LoadReporting, LocalityLoad, Metric
from xds.wire import Locality, Node, encode

METHOD = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"
NODE = NodeMessage(id="proxy-1", cluster="edge", client_features=["envoy.lrs.supports_send_all_clusters"])
HELLO = encode(LoadStatsRequest(node=NODE))


class Loads:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, tuple[ClusterLoad, ...]]] = []

    def take(self, node: Node, clusters: tuple[ClusterLoad, ...]) -> None:
        self.reports.append((node.id, clusters))


async def _answer(stream: RawStream) -> LoadStatsResponse:
    data = await stream.receive()
    assert data is not None, await stream.status()
    return LoadStatsResponse.parse(data)


def _ignore(_: Node, __: tuple[ClusterLoad, ...]) -> None:
    pass


async def test_40_the_server_answers_the_first_request_with_what_to_report_and_how_often() -> None:
    reporting = LoadReporting(_ignore, interval=2.5)
    async with running(load_reporting=reporting) as it, RawStream(it.port, METHOD) as stream:
        await stream.send(HELLO)
        answer = await _answer(stream)
        assert answer.send_all_clusters
        assert answer.clusters == []
        assert answer.load_reporting_interval == timedelta(seconds=2.5)


async def test_40_reports_reach_the_observer_with_the_node_of_the_first_request() -> None:
    loads = Loads()
    async with running(load_reporting=LoadReporting(loads.take)) as it, RawStream(it.port, METHOD) as stream:
        await stream.send(HELLO)
        await _answer(stream)
        locality = UpstreamLocalityStats(
            locality=LocalityMessage(region="r", zone="z"),
            total_issued_requests=10,
            total_successful_requests=7,
            total_error_requests=2,
            total_requests_in_progress=1,
            priority=1,
            cpu_utilization=UnnamedEndpointLoadMetricStats(
                num_requests_finished_with_metric=4, total_metric_value=2.5
            ),
            load_metric_stats=[
                EndpointLoadMetricStats(
                    metric_name="errors",
                    num_requests_finished_with_metric=7,
                    total_metric_value=3,
                )
            ],
        )
        stats = [
            ClusterStats(
                cluster_name="reviews|gray",
                cluster_service_name="reviews",
                upstream_locality_stats=[locality],
                total_dropped_requests=3,
                dropped_requests=[ClusterStatsDroppedRequests(category="throttle", dropped_count=2)],
                load_report_interval=timedelta(seconds=1.5),
            ),
            ClusterStats(cluster_name="idle"),
        ]
        await stream.send(encode(LoadStatsRequest(cluster_stats=stats)))
        await stream.done_writing()
        assert (await stream.status())[0] is grpc.StatusCode.OK
    metrics = {"cpu_utilization": Metric(4, 2.5), "errors": Metric(7, 3.0)}
    place = LocalityLoad(
        Locality("r", "z"), 1, issued=10, succeeded=7, failed=2, in_progress=1, metrics=metrics
    )
    gray = ClusterLoad(
        "reviews|gray", "reviews", 1.5, dropped=3, localities=(place,), drop_categories={"throttle": 2}
    )
    idle = ClusterLoad("idle", "", 0.0, dropped=0, localities=())
    assert loads.reports == [("proxy-1", (gray, idle))]


async def test_40_named_clusters_are_named_again_when_they_change() -> None:
    wanted = ["b", "a"]
    names: Callable[[Node], list[str]] = lambda node: wanted if node.cluster == "edge" else []  # noqa: E731
    reporting = LoadReporting(_ignore, clusters=names)
    async with running(load_reporting=reporting) as it, RawStream(it.port, METHOD) as stream:
        await stream.send(HELLO)
        answer = await _answer(stream)
        assert answer.clusters == ["a", "b"]
        assert not answer.send_all_clusters
        it.server.load_wanted_changed()
        wanted.append("c")
        it.server.load_wanted_changed()
        assert (await _answer(stream)).clusters == ["a", "b", "c"], "and nothing in between"
        wanted.clear()
        it.server.load_wanted_changed()
        nothing = await _answer(stream)
        assert nothing.clusters == []
        assert nothing.load_reporting_interval == timedelta(hours=1)


async def test_a_client_of_which_nothing_is_wanted_waits_for_an_answer() -> None:
    wanted: list[str] = []
    asked = asyncio.Event()

    def names(_: Node) -> list[str]:
        asked.set()
        return wanted

    reporting = LoadReporting(_ignore, clusters=names)
    async with running(load_reporting=reporting) as it, RawStream(it.port, METHOD) as stream:
        await stream.send(HELLO)
        await asked.wait()
        wanted.append("a")
        it.server.load_wanted_changed()
        assert (await _answer(stream)).clusters == ["a"], "the first answer"


async def test_a_client_that_reports_all_is_sent_away_when_nothing_is_wanted() -> None:
    wanted: list[tuple[str, ...] | None] = [None]
    reporting = LoadReporting(_ignore, clusters=lambda _: wanted[-1])
    async with running(load_reporting=reporting) as it, RawStream(it.port, METHOD) as stream:
        await stream.send(HELLO)
        assert (await _answer(stream)).send_all_clusters
        wanted.append(())
        it.server.load_wanted_changed()
        assert (await stream.status())[0] is grpc.StatusCode.OK


async def test_a_client_that_cannot_report_all_clusters_is_told_so() -> None:
    async with (
        running(load_reporting=LoadReporting(_ignore)) as it,
        RawStream(it.port, METHOD) as stream,
    ):
        await stream.send(encode(LoadStatsRequest(node=NodeMessage(id="old"))))
        code, details = await stream.status()
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "envoy.lrs.supports_send_all_clusters" in details


async def test_a_malformed_report_is_an_invalid_argument() -> None:
    async with (
        running(load_reporting=LoadReporting(_ignore)) as it,
        RawStream(it.port, METHOD) as stream,
    ):
        await stream.send(b"\xff" * 10)
        assert (await stream.status())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_server_that_wants_no_reports_does_not_offer_the_service() -> None:
    async with running() as it, RawStream(it.port, METHOD) as stream:
        assert (await stream.status())[0] is grpc.StatusCode.UNIMPLEMENTED
