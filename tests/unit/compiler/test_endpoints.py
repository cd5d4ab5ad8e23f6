from dataclasses import replace

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Address, Metadata, SocketAddress
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    ClusterLoadAssignmentPolicy,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.google.protobuf import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.routing import routing
from xds.compiler.endpoints import load_assignment
from xds.compiler.grpc_client import GrpcClientDestinations, compile_grpc_client_upstreams
from xds.compiler.upstreams import Destinations, compile_upstreams
from xds.rules.instance import Instance, Locality
from xds.rules.model import RuleDocument
from xds.wire import encode

V1, V2 = {"version": "v1"}, {"version": "v2"}
ONE = Instance("10.0.0.1", 80, metadata=V1)
TWO = Instance("10.0.0.2", 80, metadata=V2)

RULE = RuleDocument.model_validate(
    {
        "service": "reviews",
        "subsets": {"stable": {"labels": V1}, "gray": {"labels": V2}},
        "baseline": "stable",
    }
)


def endpoints_of(service: str, rule: RuleDocument | None, given: list[Instance]) -> dict[str, bytes]:
    upstreams = compile_upstreams(Destinations.of(routing(service, rule)), given)
    return {name: upstream.endpoints or b"" for name, upstream in upstreams.items()}


Place = tuple[str, int, int | None]


def assignment(cluster: str, *endpoints: Place, fallback: tuple[Place, ...] = ()) -> bytes:
    levels = [LocalityLbEndpoints(lb_endpoints=_built(endpoints))] if endpoints else []
    policy = None
    if fallback:
        levels.append(LocalityLbEndpoints(lb_endpoints=_built(fallback, STABLE), priority=1))
        policy = ClusterLoadAssignmentPolicy(overprovisioning_factor=100_000)
    return encode(ClusterLoadAssignment(cluster_name=cluster, endpoints=levels, policy=policy))


STABLE = Metadata(filter_metadata={"grayplane": Struct(fields={"subset": Value(string_value="stable")})})


def _built(endpoints: tuple[Place, ...], metadata: Metadata | None = None) -> list[LbEndpoint]:
    return [
        LbEndpoint(
            endpoint=Endpoint(
                address=Address(socket_address=SocketAddress(address=address, port_value=port))
            ),
            load_balancing_weight=weight,
            metadata=metadata,
        )
        for address, port, weight in endpoints
    ]


def test_instances_in_the_order_of_their_addresses() -> None:
    instances = [TWO, Instance("10.0.0.1", 8080), ONE, Instance("fd00::1", 65535)]
    expected = [
        ("10.0.0.1", 80, None),
        ("10.0.0.1", 8080, None),
        ("10.0.0.2", 80, None),
        ("fd00::1", 65535, None),
    ]
    assert load_assignment("c", instances) == assignment("c", *expected)


def test_no_instances_are_an_empty_assignment() -> None:
    assert load_assignment("c", []) == assignment("c")


@pytest.mark.parametrize(
    "idle", [replace(ONE, healthy=False), replace(ONE, weight=0.0), replace(ONE, weight=float("nan"))]
)
def test_instances_that_do_not_serve_are_left_out(idle: Instance) -> None:
    assert load_assignment("c", [idle, TWO]) == assignment("c", ("10.0.0.2", 80, None))


@pytest.mark.parametrize(
    "strange",
    [
        replace(ONE, address=""),
        replace(ONE, address="no name"),
        replace(ONE, address="10.0.0.256"),
        replace(ONE, address="10.0.0.1:80"),
        replace(ONE, address="010.0.0.1"),
        replace(ONE, address="fe80::1%eth0"),
        replace(ONE, port=0),
        replace(ONE, port=65536),
    ],
)
def test_addresses_that_envoy_would_reject_are_left_out(strange: Instance) -> None:
    assert load_assignment("c", [strange, TWO]) == assignment("c", ("10.0.0.2", 80, None))


def test_addresses_are_compared_in_canonical_form() -> None:
    instances = [Instance("FD00:0::1", 80), Instance("fd00::1", 80)]
    assert load_assignment("c", instances) == assignment("c", ("fd00::1", 80, None))


def test_of_duplicates_the_heavier_counts() -> None:
    instances = [ONE, replace(ONE, weight=3.0), replace(ONE, weight=2.0), TWO]
    expected = [("10.0.0.1", 80, 300), ("10.0.0.2", 80, 100)]
    assert load_assignment("c", instances) == assignment("c", *expected)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [(0.5, 50), (0.001, 1), (10_000.0, 1_000_000), (1e300, 1_000_000), (float("inf"), 1_000_000)],
)
def test_weights_are_scaled_to_integers(weight: float, expected: int) -> None:
    instances = [replace(ONE, weight=weight), TWO]
    assert load_assignment("c", instances) == assignment(
        "c", ("10.0.0.1", 80, expected), ("10.0.0.2", 80, 100)
    )


def test_the_sum_of_weights_stays_what_envoy_accepts() -> None:
    heavy = [Instance(f"10.1.{n >> 8}.{n & 255}", 80, weight=10_000.0) for n in range(5000)]
    parsed = ClusterLoadAssignment.parse(load_assignment("c", [*heavy, ONE]))
    weights = [endpoint.load_balancing_weight or 0 for endpoint in parsed.endpoints[0].lb_endpoints]
    assert len(weights) == 5001
    assert min(weights) >= 1
    assert sum(weights) < 2**32


def test_instances_are_grouped_by_locality_within_a_priority() -> None:
    near, far = Locality("cn", "a"), Locality("cn", "b")
    own = [replace(ONE, locality=far), replace(TWO, locality=near), Instance("10.0.0.3", 80)]
    stable = [Instance("10.0.0.4", 80, 2.0, locality=near), Instance("10.0.0.5", 80, 1.0, locality=far)]
    groups = ClusterLoadAssignment.parse(load_assignment("c", own, stable)).endpoints
    assert [(each.priority, each.locality and each.locality.zone) for each in groups] == [
        (0, None),
        (0, "a"),
        (0, "b"),
        (1, "a"),
        (1, "b"),
    ]
    expected = [
        ("10.0.0.3", None),
        ("10.0.0.2", None),
        ("10.0.0.1", None),
        ("10.0.0.4", 200),
        ("10.0.0.5", 100),
    ]
    assert [list(each.lb_endpoints) for each in groups] == [
        _built(((address, 80, weight),)) for address, weight in expected
    ], "weights are compared within a priority, whatever the locality"


def test_a_host_name_makes_envoy_resolve_the_whole_cluster() -> None:
    named = replace(TWO, address="Gray.Internal")
    found = compile_upstreams(Destinations.of(routing("reviews", RULE)), [ONE, named])
    stable, gray = (found[f"reviews|{name}"] for name in ("stable", "gray"))
    assert stable.endpoints == assignment("reviews|stable", ("10.0.0.1", 80, None))
    assert gray.endpoints is None
    cluster = Cluster.parse(gray.cluster)
    assert cluster.type is ClusterDiscoveryType.STRICT_DNS
    assert cluster.eds_cluster_config is None
    assert cluster.load_assignment
    assert encode(cluster.load_assignment) == assignment(
        "reviews|gray", ("gray.internal", 80, None), fallback=(("10.0.0.1", 80, None),)
    )
    destinations = Destinations.of(routing("reviews", RULE))
    idle = compile_upstreams(destinations, [ONE, TWO, replace(named, healthy=False)])
    assert idle["reviews|gray"].endpoints is not None, "what is out of service needs no resolving"


def test_grpc_clients_are_sent_neither_host_names_nor_localities_of_instances() -> None:
    given = [
        ONE,
        TWO,
        replace(TWO, address="gray.internal"),
        replace(ONE, address="10.0.0.9", locality=Locality("cn", "a")),
    ]
    destinations = GrpcClientDestinations.of(routing("reviews", RULE))
    with_localities = compile_grpc_client_upstreams(destinations, given)
    plain = compile_grpc_client_upstreams(destinations, [ONE, TWO, replace(ONE, address="10.0.0.9")])
    assert with_localities == plain


def test_subsets_select_by_all_their_labels() -> None:
    assignments = endpoints_of("reviews", RULE, [TWO, ONE, Instance("10.0.0.3", 80)])
    assert assignments == {
        "reviews|gray": assignment(
            "reviews|gray", ("10.0.0.2", 80, None), fallback=(("10.0.0.1", 80, None),)
        ),
        "reviews|stable": assignment("reviews|stable", ("10.0.0.1", 80, None)),
    }


@pytest.mark.parametrize("gone", [[], [replace(TWO, healthy=False)], [replace(TWO, address="no address")]])
def test_a_subset_without_instances_is_served_by_the_baseline(gone: list[Instance]) -> None:
    assignments = endpoints_of("reviews", RULE, [ONE, *gone])
    assert assignments["reviews|gray"] == assignment("reviews|gray", fallback=(("10.0.0.1", 80, None),))


def test_nothing_stands_in_for_the_baseline() -> None:
    assert endpoints_of("reviews", RULE, [TWO])["reviews|stable"] == assignment("reviews|stable")


@pytest.mark.parametrize("rule", [None, RuleDocument(service="reviews")])
def test_without_subsets_all_instances_are_in_one_cluster(rule: RuleDocument | None) -> None:
    expected = assignment("reviews", ("10.0.0.1", 80, None), ("10.0.0.2", 80, None))
    assert endpoints_of("reviews", rule, [TWO, ONE]) == {"reviews": expected}


instances = st.lists(
    st.builds(
        Instance,
        address=st.ip_addresses().map(str) | st.text(max_size=5),
        port=st.integers(0, 70000),
        weight=st.floats(allow_nan=True, allow_infinity=True),
        healthy=st.booleans(),
        metadata=st.sampled_from([{}, V1, V2]),
    ),
    max_size=8,
)


@given(instances, st.randoms())
def test_the_order_of_instances_does_not_count(given_instances: list[Instance], random: object) -> None:
    shuffled = list(given_instances)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert endpoints_of("reviews", RULE, shuffled) == endpoints_of("reviews", RULE, given_instances)
