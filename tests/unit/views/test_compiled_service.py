"""What of a service is compiled again for other inputs: the rest stays the same objects."""

from dataclasses import replace
from typing import Any

import pytest

from tests.harness.routing import routing
from xds.cache import Ref, Resource
from xds.documents.identity import DocumentId, Origin
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import RuleDocument
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from xds.views import Compiled, CompiledService, ServiceInputs

ID = ServiceId("", "reviews")
INSTANCES = (
    Instance("10.0.0.1", 80, metadata={"version": "v1"}),
    Instance("10.0.0.2", 80, metadata={"version": "v2"}),
)
MOVED = (INSTANCES[0], replace(INSTANCES[1], address="10.0.0.3"))
GRPC = tuple(replace(one, metadata={**one.metadata, "protocol": "grpc"}) for one in INSTANCES)

TESTERS = {"name": "testers", "match": [{"headers": {"x": {"exact": "y"}}}], "route": [{"subset": "gray"}]}
SUBSETS = {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}}

ENDPOINTS_OF_GRAY = Ref(ENDPOINT, "reviews|gray")
ROUTES, UPSTREAMS, GRPC_ROUTES, GRPC_UPSTREAMS = "routes", "upstreams", "gRPC routes", "gRPC upstreams"


def rule(gray: int = 10, *more: object, **fields: Any) -> RuleDocument:
    split = [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}]
    document = {
        "service": "reviews",
        "hosts": ["reviews.example.com"],
        "gateways": ["edge"],
        "subsets": SUBSETS,
        "baseline": "stable",
        "http": [TESTERS, *more, {"name": "split", "route": split}],
    }
    return RuleDocument.model_validate(document | fields)


def inputs(
    revision: str, document: RuleDocument, instances: tuple[Instance, ...] = INSTANCES
) -> ServiceInputs:
    origins = (Origin(DocumentId("", "reviews.yaml"), revision),)
    return ServiceInputs(ID, routing("reviews", document), origins, instances)


def bodies(service: CompiledService, part: str) -> list[bytes]:
    """Return the encoded messages of a part."""
    own: dict[str, list[bytes]] = {
        ROUTES: [service.mesh, service.edge or b""],
        UPSTREAMS: [each.body for each in (*service.clusters, *service.endpoints)],
        GRPC_ROUTES: _bodies(service.grpc_clients, LISTENER, ROUTE),
        GRPC_UPSTREAMS: _bodies(service.grpc_clients, CLUSTER, ENDPOINT),
    }
    return own[part]


def _bodies(resources: tuple[Resource, ...] | None, *types: str) -> list[bytes]:
    return [resource.body for resource in resources or () if resource.type_url in types]


POLICY = {"connectionPool": {"tcp": {"maxConnections": 7}}}
MORE_SUBSETS = {**SUBSETS, "other": {"labels": {"version": "v3"}}}
AGAIN = {"name": "again", "match": [{"headers": {"x": {"exact": "z"}}}], "route": [{"subset": "gray"}]}


@pytest.mark.parametrize(
    ("document", "instances", "compiled"),
    [
        (rule(), INSTANCES, set()),
        (rule(20), INSTANCES, {ROUTES, GRPC_ROUTES}),
        (rule(10, AGAIN), INSTANCES, {ROUTES, GRPC_ROUTES}),
        (rule(hosts=["other.example.com"]), INSTANCES, {ROUTES, GRPC_ROUTES}),
        (rule(subsets=MORE_SUBSETS), INSTANCES, {ROUTES, GRPC_ROUTES, UPSTREAMS, GRPC_UPSTREAMS}),
        (rule(trafficPolicy=POLICY), INSTANCES, {ROUTES, GRPC_ROUTES, UPSTREAMS}),
        (rule(), MOVED, {UPSTREAMS, GRPC_UPSTREAMS}),
        (rule(), GRPC, {ROUTES, UPSTREAMS, GRPC_UPSTREAMS}),
    ],
    ids=["nothing", "weight", "match", "host", "subset", "policy", "instance", "protocol"],
)
def test_a_part_is_compiled_again_if_its_inputs_are_others(
    document: RuleDocument, instances: tuple[Instance, ...], compiled: set[str]
) -> None:
    was, now = inputs("r1", rule()), inputs("r2", document, instances)
    before = CompiledService.of(was)
    after = CompiledService.of(now, Compiled(was, before))
    for part in (ROUTES, UPSTREAMS, GRPC_ROUTES, GRPC_UPSTREAMS):
        pairs = list(zip(bodies(before, part), bodies(after, part), strict=False))
        assert pairs
        assert any(one is not other for one, other in pairs) is (part in compiled), part
    assert_same(after, CompiledService.of(now))


def assert_same(service: CompiledService, other: CompiledService) -> None:
    """Compare services by what clients are sent, and by the versions of documents that it comes from."""

    def told(resources: tuple[Resource, ...]) -> list[tuple[str, str, bytes, object, object, object]]:
        return [(one.type_url, one.name, one.body, one.warms, one.requires, one.origins) for one in resources]

    assert told(service.clusters) == told(other.clusters)
    assert told(service.endpoints) == told(other.endpoints)
    assert told(service.grpc_clients or ()) == told(other.grpc_clients or ())
    one, another = (replace(each, clusters=(), endpoints=(), grpc_clients=None) for each in (service, other))
    assert one == another


def sent(service: CompiledService) -> dict[Ref, bytes]:
    """Return what gRPC clients are sent."""
    return {each.ref: each.body for each in service.grpc_clients or ()}


UNSUPPORTED = {"name": "gone", "redirect": {"uri": "/"}, "match": [{"uri": {"exact": "/x"}}]}
"""What gRPC clients cannot do."""


def test_where_grpc_clients_keep_their_routes_they_are_sent_the_instances_of_now() -> None:
    first, moved = CompiledService.of(inputs("r1", rule())), inputs("r2", rule(20, UNSUPPORTED), MOVED)
    kept = CompiledService.of(moved).keeping_for_grpc_clients(first, moved)
    was, now = sent(first), sent(kept)
    endpoints = {ref for ref in was if ref.type_url == ENDPOINT}
    wanted = sent(CompiledService.of(inputs("r3", rule(), MOVED)))
    assert {ref: now[ref] for ref in endpoints} == {ref: wanted[ref] for ref in endpoints}
    assert {ref for ref in was if was[ref] != now[ref]} == {ENDPOINTS_OF_GRAY}
    assert kept.grpc_clients_kept


def test_where_grpc_clients_keep_their_routes_they_keep_the_shares_of_a_sticky_split() -> None:
    def ramp(gray: int) -> dict[str, object]:
        split = [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}]
        return {"name": "ramp", "route": split, "sticky": {"header": "x-user"}}

    first, more = CompiledService.of(inputs("r1", rule(0, ramp(10)))), rule(0, UNSUPPORTED, ramp(90))
    unsupported = inputs("r2", more)
    kept = CompiledService.of(unsupported).keeping_for_grpc_clients(first, unsupported)
    assert sent(kept) == sent(first)


def test_where_grpc_clients_keep_what_they_had_nothing_of_that_passes_as_compiled() -> None:
    supported, moved = inputs("r1", rule()), inputs("r3", rule(), MOVED)
    unsupported = inputs("r2", rule(10, UNSUPPORTED))
    first = CompiledService.of(supported)
    second = CompiledService.of(unsupported, Compiled(supported, first))
    assert second.grpc_clients is None
    kept = second.keeping_for_grpc_clients(first, unsupported)
    assert sent(kept) == sent(first)
    again = CompiledService.of(replace(unsupported, instances=MOVED), Compiled(unsupported, kept))
    assert again.grpc_clients is None
    third = CompiledService.of(moved, Compiled(unsupported, kept))
    assert_same(third, CompiledService.of(moved))
