"""What of a report counts for which subset."""

import pytest

from tests.unit.rollout.worlds import REVIEWS
from xds.compiler.access_log import FALLBACK_TAG
from xds.rollout.load_tally import LoadTally
from xds.server import ClusterLoad, LocalityLoad, LoggedRequest
from xds.wire import Locality

_CLUSTERS = {
    "reviews|stable": "stable",
    "reviews|gray": "gray",
    "reviews|gray|none": "gray",
    "reviews|beta": "beta",
    "reviews|~ramp": None,
}


def watching() -> LoadTally:
    tally = LoadTally()
    tally.watch(REVIEWS, "gray", "stable", _CLUSTERS)
    return tally


def load(cluster: str, *places: tuple[str, int]) -> ClusterLoad:
    """Report ten requests, one of which failed, for each zone and priority."""
    localities = tuple(
        LocalityLoad(Locality("", zone), priority, issued=10, succeeded=9, failed=1, in_progress=0)
        for zone, priority in places
    )
    return ClusterLoad(cluster, "", 5.0, dropped=0, localities=localities)


@pytest.mark.parametrize(
    ("reported", "gray", "baseline"),
    [
        pytest.param(load("reviews|gray", ("", 0)), 10, 0, id="gray"),
        pytest.param(load("reviews|gray|none", ("", 0)), 10, 0, id="gray under another fallback"),
        pytest.param(load("reviews|stable", ("", 0)), 0, 10, id="baseline"),
        pytest.param(load("reviews|gray", ("", 0), ("", 1)), 10, 0, id="the fallback of a proxy"),
        pytest.param(load("reviews|gray", ("", 1)), 0, 0, id="the fallback alone"),
        pytest.param(
            load("reviews|gray", ("gray", 0), ("stable", 0)), 10, 0, id="the fallback of a gRPC client"
        ),
        pytest.param(load("reviews|~ramp", ("gray", 0), ("stable", 0)), 10, 10, id="a sticky split"),
        pytest.param(load("reviews|~ramp", ("beta", 0)), 0, 0, id="a third subset of a split"),
        pytest.param(load("reviews|beta", ("", 0)), 0, 0, id="a third subset"),
        pytest.param(load("ratings|gray", ("", 0)), 0, 0, id="another service"),
    ],
)
def test_load_counts_for_the_subset_that_served(reported: ClusterLoad, gray: int, baseline: int) -> None:
    tally = watching()
    tally.reported("", "edge-1", [reported])
    seen = tally.seen(REVIEWS)
    assert (seen.gray.requests, seen.baseline.requests) == (gray, baseline)
    assert (seen.gray.errors, seen.baseline.errors) == (gray // 10, baseline // 10)


def test_a_client_without_requests_has_reported_all_the_same() -> None:
    tally = watching()
    tally.reported("", "edge-1", [load("reviews|gray")])
    assert tally.seen(REVIEWS).proxies == 1


def test_the_latency_of_a_fallback_is_nobody_s() -> None:
    tally = watching()
    own = LoggedRequest("reviews|gray", 5.0)
    instead = LoggedRequest("reviews|gray", 500.0, {FALLBACK_TAG: "stable"})
    tally.logged("", "edge-1", [own, instead])
    assert tally.seen(REVIEWS).gray.latencies.count == 1


def test_it_tells_when_other_clusters_are_to_be_reported() -> None:
    tally, told = LoadTally(), []
    tally.changed = lambda: told.append(tally.clusters(""))
    for _ in range(2):
        tally.watch(REVIEWS, "gray", "stable", _CLUSTERS)
    tally.ignore(REVIEWS)
    assert told == [("reviews|gray", "reviews|gray|none", "reviews|stable"), ()]
