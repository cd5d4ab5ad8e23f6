from typing import Any

import pytest
from envoy_data_plane.envoy.config.route.v3 import VirtualHost
from hypothesis import given
from hypothesis import strategies as st

from tests.envoy.generate import LISTS, Generator
from tests.harness.routing import routing
from xds.compiler.service import ServiceRoutes, compile_routes
from xds.compiler.upstreams import Destinations, compile_upstreams
from xds.routing import Surroundings
from xds.rules.model import RuleDocument

SUBSETS = {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}}


def routes_of(*rules: object, **fields: Any) -> ServiceRoutes:
    document = {"service": "reviews", "subsets": SUBSETS, "baseline": "stable", "http": rules} | fields
    return compile_routes(routing("reviews", RuleDocument.model_validate(document)))


def mesh(*rules: object, **fields: Any) -> VirtualHost:
    return VirtualHost.parse(routes_of(*rules, **fields).mesh)


def test_a_service_without_a_document_has_one_cluster_and_its_own_name() -> None:
    routes = compile_routes(routing("reviews", None))
    host = VirtualHost.parse(routes.mesh)
    assert (host.name, host.domains) == ("reviews", [])
    assert [(route.name, route.route and route.route.cluster) for route in host.routes] == [
        ("reviews", "reviews")
    ]
    assert (routes.edge, routes.gateways) == (None, frozenset())
    assert list(compile_upstreams(Destinations.of(routing("reviews", None)), [])) == ["reviews"]
    assert routes.requires == {"reviews"}


def test_hosts_are_served_by_the_gateways_named() -> None:
    routes = routes_of(hosts=["a.example.com", "*.b.example.com"], gateways=["edge", "internal"])
    assert routes.edge is not None
    assert VirtualHost.parse(routes.edge).domains == ["a.example.com", "*.b.example.com"]
    assert routes.gateways == {"edge", "internal"}


def test_without_hosts_no_gateway_serves_it() -> None:
    assert (routes_of().edge, routes_of().gateways) == (None, frozenset())


def test_every_subset_has_a_cluster_and_routes_require_those_they_name() -> None:
    routes = routes_of(
        {"name": "all", "route": [{"subset": "stable", "weight": 1}, {"subset": "gray", "weight": 0}]}
    )
    assert routes.requires == {"reviews|stable"}


def test_disabled_rules_leave_the_baseline() -> None:
    host = mesh({"name": "all", "route": [{"subset": "gray"}]}, enabled=False)
    assert [(route.name, route.route and route.route.cluster) for route in host.routes] == [
        ("baseline", "reviews|stable")
    ]


def test_gray_subsets_come_first_in_a_split_and_the_baseline_last() -> None:
    rule = {
        "name": "ramp",
        "route": [
            {"subset": name, "weight": weight} for name, weight in (("stable", 2), ("z", 1), ("gray", 1))
        ],
    }
    action = mesh(rule, subsets=SUBSETS | {"z": {"labels": {"version": "v3"}}}).routes[0].route
    assert action is not None
    assert action.weighted_clusters is not None
    assert [(part.name, part.weight) for part in action.weighted_clusters.clusters] == [
        ("reviews|gray", 250_000),
        ("reviews|z", 250_000),
        ("reviews|stable", 500_000),
    ]
    assert action.weighted_clusters.use_hash_policy is None


def test_alternatives_are_routes_named_like_their_rule() -> None:
    matches = [{"headers": {"a": {"exact": "1"}}}, {"cookies": {"b": {"in": ["1", "2"]}}}]
    host = mesh({"name": "testers", "match": matches, "route": [{"subset": "gray"}]})
    assert [route.name for route in host.routes] == ["testers", "testers", "testers", "baseline"]
    assert host.matcher is None


@pytest.mark.parametrize(
    "match",
    [
        {"headers": {"a": {"in": [str(n) for n in range(9)]}}},
        {"headers": {"a": {"in": ["1", "2", "3"]}}, "cookies": {"b": {"in": ["1", "2", "3"]}}},
        {"headers": {"a": {"regex": "b*", "not": True}}},
        {"cookies": {"a": {"range": {"start": 1, "end": 5}}}},
        {"query": {"a": {"exact": "b", "not": True}}},
        {"uri": {"regex": "/a.*", "not": True}},
    ],
)
def test_what_plain_routes_cannot_say_becomes_a_matcher(match: dict[str, object]) -> None:
    host = mesh({"name": "testers", "match": [match], "route": [{"subset": "gray"}]})
    assert host.matcher is not None
    assert not host.routes


@pytest.mark.parametrize(
    ("match", "newcomers"),
    [
        ({}, True),
        ({"headers": {"a": {"exact": "1"}}}, True),
        ({"cookies": {"uid": {"exact": "1", "not": True}}}, True),
        ({"cookies": {"uid": {"present": False}}}, True),
        ({"cookies": {"uid": {"exact": "1"}}}, False),
        ({"cookies": {"uid": {"present": False, "not": True}}}, False),
    ],
)
def test_a_cookie_is_given_to_those_who_may_lack_it(match: dict[str, object], newcomers: bool) -> None:
    route = [{"subset": "stable", "weight": 1}, {"subset": "gray", "weight": 1}]
    rule = {"name": "ramp", "match": [match], "sticky": {"cookie": "uid", "ttl": "1h"}, "route": route}
    giving = [bool(route.response_headers_to_add) for route in mesh(rule).routes]
    assert giving == ([True, False, False] if newcomers else [False, False])


def test_where_there_is_nothing_to_split_no_cookie_is_given() -> None:
    rule = {"name": "all", "sticky": {"cookie": "uid", "ttl": "1h"}, "route": [{"subset": "gray"}]}
    assert not any(route.response_headers_to_add for route in mesh(rule).routes)


@given(st.integers(0, 2**32))
def test_a_document_always_compiles_to_the_same_bytes(seed: int) -> None:
    document = Generator(seed).document()
    again = RuleDocument.model_validate_json(document.model_dump_json(by_alias=True, exclude_none=True))
    routes = compile_routes(routing("svc", document, Surroundings(lists=LISTS)))
    assert routes == compile_routes(routing("svc", again, Surroundings(lists=LISTS)))
    host = VirtualHost.parse(routes.mesh)
    assert bool(host.routes) != (host.matcher is not None)
