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


_OF_PROXIES = {
    "gray": (load("reviews|gray", ("", 0)), 10, 0),
    "gray under another fallback": (load("reviews|gray|none", ("", 0)), 10, 0),
    "baseline": (load("reviews|stable", ("", 0)), 0, 10),
    "with its fallback": (load("reviews|gray", ("", 0), ("", 1)), 10, 0),
    "its fallback alone": (load("reviews|gray", ("", 1)), 0, 0),
    "in two zones": (load("reviews|gray", ("zone-a", 0), ("zone-b", 0), ("zone-a", 1)), 20, 0),
    "in zones with the names of subsets": (load("reviews|gray", ("stable", 0), ("gray", 1)), 10, 0),
    "a third subset": (load("reviews|beta", ("", 0)), 0, 0),
    "another service": (load("ratings|gray", ("", 0)), 0, 0),
}
_OF_GRPC_CLIENTS = {
    "gray": (load("reviews|gray", ("gray", 0)), 10, 0),
    "with its fallback": (load("reviews|gray", ("gray", 0), ("stable", 0)), 10, 0),
    "its fallback alone": (load("reviews|gray", ("stable", 0)), 0, 0),
    "a sticky split": (load("reviews|~ramp", ("gray", 0), ("stable", 0)), 10, 10),
    "a third subset of a split": (load("reviews|~ramp", ("beta", 0)), 0, 0),
}


@pytest.mark.parametrize(
    ("reported", "gray", "baseline", "grpc"),
    [
        *(pytest.param(*case, False, id=f"proxy: {name}") for name, case in _OF_PROXIES.items()),
        *(pytest.param(*case, True, id=f"gRPC: {name}") for name, case in _OF_GRPC_CLIENTS.items()),
    ],
)
def test_load_counts_for_the_subset_that_served(
    reported: ClusterLoad, gray: int, baseline: int, grpc: bool
) -> None:
    tally = watching()
    tally.reported("", "client-1", [reported], zones_are_subsets=grpc)
    seen = tally.seen(REVIEWS)
    assert (seen.gray.requests, seen.baseline.requests) == (gray, baseline)
    assert (seen.gray.errors, seen.baseline.errors) == (gray // 10, baseline // 10)


def test_a_client_without_requests_has_reported_all_the_same() -> None:
    tally = watching()
    tally.reported("", "edge-1", [load("reviews|gray")], zones_are_subsets=False)
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
