"""What encoding and decoding cost: stock betterproto2, ``xds.wire``, and upb, Google's runtime in C."""

import asyncio
import warnings
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter

from envoy_data_plane.envoy.config.route.v3 import (
    HeaderMatcher,
    Route,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyHeader,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from bench.scale import Scale
from bench.table import Spread, Table, number, time
from tests.unit.wire.capture import first_request
from xds.wire import decode_delta_request, encode
from xds.wire.descriptors import message_class

HOSTS = 1000


def measure(_: Scale) -> list[Table]:
    """Measure both; the sizes are the same at every scale."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return [encoding(), decoding()]


def virtual_host(number: int) -> VirtualHost:
    """A header match to the gray subset, and a sticky 95/5 split for everybody else."""
    service = f"service-{number}"
    canary = HeaderMatcher(name="x-release", string_match=StringMatcher(exact="canary"))
    by_user = RouteActionHashPolicy(header=RouteActionHashPolicyHeader(header_name="x-user-id"))
    split = WeightedCluster(
        clusters=[
            WeightedClusterClusterWeight(name=f"{service}|gray", weight=5),
            WeightedClusterClusterWeight(name=f"{service}|stable", weight=95),
        ]
    )
    return VirtualHost(
        name=service,
        domains=[f"{service}.example.com"],
        routes=[
            Route(
                name="testers",
                match=RouteMatch(prefix="/", headers=[canary]),
                route=RouteAction(cluster=f"{service}|gray", timeout=timedelta(seconds=3)),
            ),
            Route(
                name="ramp",
                match=RouteMatch(prefix="/"),
                route=RouteAction(
                    weighted_clusters=split, hash_policy=[by_user], timeout=timedelta(seconds=3)
                ),
            ),
        ],
    )


def seconds(action: Callable[[], object], runs: int) -> list[float]:
    """Time an action, after one run that does not count: plans and schemas are compiled on first use."""
    action()
    times = []
    for _ in range(runs):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    return times


def measured(title: str, aim: str, actions: list[tuple[str, Callable[[], object], int]]) -> Table:
    """Time each of the named actions, as often as it says."""
    table = Table(title, aim, ("", "time", "runs"))
    for name, action, runs in actions:
        table.rows.append([name, time(Spread.of(seconds(action, runs))), number(runs)])
    return table


def encoding() -> Table:
    """Measure what a full push of one route configuration costs, and its edit."""

    def build() -> RouteConfiguration:
        return RouteConfiguration(
            name="edge", virtual_hosts=[virtual_host(number) for number in range(HOSTS)]
        )

    hosts = build()
    encoded = encode(hosts)
    upb = message_class("envoy.config.route.v3.RouteConfiguration").FromString(encoded)
    assert bytes(hosts) == encoded
    return measured(
        f"Encode {HOSTS} virtual hosts with {2 * HOSTS} routes: {len(encoded):,} bytes",
        "near upb, which encodes in C",
        [
            ("(constructing them)", build, 5),
            ("betterproto2", lambda: bytes(hosts), 3),
            ("xds.wire", lambda: encode(hosts), 50),
            ("xds.wire, one virtual host", lambda: encode(hosts.virtual_hosts[0]), 1000),
            ("upb, its own messages", lambda: upb.SerializeToString(deterministic=True), 50),
        ],
    )


def decoding() -> Table:
    """Measure what a real Envoy's first request costs, nearly all of which is its list of extensions."""
    request = asyncio.run(first_request("DELTA_GRPC"))
    upb = message_class("envoy.service.discovery.v3.DeltaDiscoveryRequest")
    return measured(
        f"Decode Envoy's first delta request: {len(request):,} bytes",
        "far below what decoding all of it takes",
        [
            ("betterproto2, all of it", lambda: DeltaDiscoveryRequest.parse(request), 10),
            ("xds.wire, what is used", lambda: decode_delta_request(request), 200),
            ("upb, all of it", lambda: upb.FromString(request), 200),
        ],
    )
