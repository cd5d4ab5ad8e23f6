"""Routes of Istio and of the Gateway API as rule documents: the same meaning, or a note by name."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.rules.marked import told
from xds.routing import DirectResponse, Redirect, Request, evaluate, routing_of
from xds.rules.imports import Imported, import_gateway_api, import_istio
from xds.rules.model import RuleDocument
from xds.rules.parse import parse

REVIEWS = Path(__file__).parent / "gateway_api" / "reviews.yaml"
BOOKINFO = Path(__file__).parent / "istio" / "bookinfo.yaml"
RULE = {
    "kind": "DestinationRule",
    "metadata": {"name": "reviews"},
    "spec": {
        "host": "reviews",
        "subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")],
    },
}


def document(imported: Imported, name: str = "reviews.yaml") -> RuleDocument:
    parsed = parse(name, yaml.safe_dump(imported.documents[name]).encode())
    assert parsed.rule, told(parsed.problems)
    return parsed.rule


def virtual_service(*http: dict[str, Any], **spec: Any) -> list[dict[str, Any]]:
    service = {"hosts": ["reviews"], "http": list(http), **spec}
    return [{"kind": "VirtualService", "metadata": {"name": "reviews"}, "spec": service}, RULE]


def to(subset: str, weight: int | None = None) -> dict[str, Any]:
    return {
        "destination": {"host": "reviews", "subset": subset},
        **({"weight": weight} if weight is not None else {}),
    }


@pytest.fixture(scope="module")
def bookinfo() -> Imported:
    return import_istio(yaml.safe_load_all(BOOKINFO.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("/", {"end-user": "jason"}, {"v2": 1.0}),
        ("/API/x?gray=1", {}, {"v2": 1.0}),
        ("/api/x?gray=2", {}, {"v1": 1.0}),
        ("/v1/a", {}, {"v1": 1.0}),
        ("/", {"x-app": "2"}, {"v1": 0.75, "v2": 0.25}),
        ("/", {"x-app": "2", "x-old": ""}, {"v1": 1.0}),
        ("/gone", {}, {Redirect: 1.0}),
        ("/down", {}, {DirectResponse: 1.0}),
        ("/", {}, {"v1": 1.0}),
    ],
)
def test_what_is_decided(
    bookinfo: Imported, target: str, headers: dict[str, str], expected: dict[object, float]
) -> None:
    assert decided(document(bookinfo), target, headers) == pytest.approx(expected)


def decided(rule: RuleDocument, target: str, headers: dict[str, str]) -> dict[object, float]:
    """The subsets that a request goes to, or what else happens to it, with the probability of each."""
    routing = routing_of(rule.service, rule, datetime(2026, 11, 25, tzinfo=UTC))
    evaluation = evaluate(routing, Request("GET", target, tuple(headers.items())))
    found: dict[object, float] = {one.subset: share for one, share in evaluation.targets().items()}
    for outcome in evaluation.outcomes:
        if outcome.choice is None:
            found[type(outcome.decision.action)] = outcome.probability
    return found


def test_what_cannot_be_carried_over_is_told_by_name(bookinfo: Imported) -> None:
    told_of = "\n".join(bookinfo.notes)
    for name in (
        "spec.http[0].corsPolicy cannot",
        "spec.http[0].match[2] is left out: spec.http[0].match[2].sourceLabels",
        "retryOn envoy-ratelimited",
        "spec.trafficPolicy.tls.mode cannot",
        "tcpKeepalive cannot",
        "httpCookie.ttl cannot",
        "bookinfo-gateway is the proxy group edge",
        "Gateway bookinfo-gateway: only DestinationRule and VirtualService",
    ):
        assert name in told_of, told_of


def test_actions_and_policies(bookinfo: Imported) -> None:
    rule = document(bookinfo)
    assert rule.hosts == ("reviews.example.com",)
    testers, old, *_ = rule.http
    assert testers.retries
    assert testers.retries.retry_on == ("gateway-error", "connect-failure", "503")
    assert testers.fault
    assert testers.fault.delay
    assert testers.fault.delay.percentage == 0.1
    assert old.mirror
    assert (old.mirror.subset, old.mirror.percentage) == ("v2", 10)
    assert old.rewrite
    assert old.rewrite.uri == "/v2/"
    policy = rule.traffic_policy_of(None)
    assert policy.outlier_detection
    assert policy.outlier_detection.max_ejection_percent == 10
    assert policy.load_balancer
    assert policy.load_balancer.simple == "LEAST_REQUEST"


@pytest.mark.parametrize(
    ("http", "note"),
    [
        (
            {"route": [to("v1"), {"destination": {"host": "ratings", "subset": "v1"}}]},
            "it sends requests to ratings, reviews",
        ),
        ({"match": [{"port": 80}], "route": [to("v1")]}, "none of its matches can be carried over"),
        ({"match": [{"uri": {"exact": "/a"}}], "route": [to("v2")]}, "were answered 404; they go to v1 here"),
        (
            {"rewrite": {"uri": "/a"}, "route": [to("v1", 1), to("v2", 9)]},
            "rewrite.uri cannot be carried over",
        ),
        ({"route": [{"destination": {"host": "reviews"}}]}, "names no subset"),
        ({"delegate": {"name": "x"}, "route": [to("v1")]}, "spec.http[0].delegate cannot be carried over"),
    ],
)
def test_notes(http: dict[str, Any], note: str) -> None:
    imported = import_istio(virtual_service(http))
    assert note in "\n".join(imported.notes)
    for name in imported.documents:
        document(imported, name)


def test_a_split_for_everybody_keeps_its_rule() -> None:
    rule = document(import_istio(virtual_service({"route": [to("v1", 90), to("v2", 10)]})))
    assert rule.baseline == "v1"
    assert [(one.subset, one.weight) for one in rule.http[0].route] == [("v1", 90), ("v2", 10)]


def test_without_subsets_all_requests_go_to_all_instances() -> None:
    imported = import_istio(virtual_service({"route": [{"destination": {"host": "reviews"}}]})[:1])
    assert document(imported).http == ()
    assert "no subsets" in "\n".join(imported.notes)


@pytest.fixture(scope="module")
def reviews() -> Imported:
    return import_gateway_api(yaml.safe_load_all(REVIEWS.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("/", {}, {"reviews-v1": 0.9, "reviews-v2": 0.1}),
        ("/", {"x-release": "canary"}, {"reviews-v2": 1.0}),
        ("/api", {}, {"reviews-v2": 1.0}),
        ("/api/x", {}, {"reviews-v2": 1.0}),
        ("/apix", {}, {"reviews-v1": 0.9, "reviews-v2": 0.1}),
        ("/api/gone", {"x-release": "canary"}, {Redirect: 1.0}),
        ("/v1/x", {}, {"reviews-v1": 1.0}),
        ("/v1/x", {"x-release": "canary"}, {"reviews-v1": 1.0}),  # the path is more specific
    ],
)
def test_what_an_http_route_decides(
    reviews: Imported, target: str, headers: dict[str, str], expected: dict[object, float]
) -> None:
    assert decided(document(reviews), target, headers) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "subset"),
    [
        ("/shop.Orders/Place", "orders-v2"),
        ("/shop.Orders/Cancel", "orders-v1"),
        ("/shop.Stock/Get", "orders-v2"),
        ("/shop.Stocks/Get", "orders-v1"),
    ],
)
def test_what_a_grpc_route_decides(reviews: Imported, target: str, subset: str) -> None:
    rule = document(reviews, "orders.yaml")
    assert decided(rule, target, {}) == {subset: 1.0}
    assert rule.traffic_policy_of(None).protocol == "grpc"


def test_labels_and_actions_of_an_http_route(reviews: Imported) -> None:
    rule = document(reviews)
    assert {name: subset.labels for name, subset in rule.subsets.items()} == {
        "reviews-v1": {"version": "v1"},
        "reviews-v2": {"version": "v2"},
    }
    by_name = {one.name: one for one in rule.http}
    api, old, below_old = by_name["rule-2"], by_name["old"], by_name["old-2"]
    assert api.mirror
    assert (api.mirror.subset, api.mirror.percentage) == ("reviews-v1", 10)
    assert api.retries
    assert (api.retries.attempts, api.retries.retry_on) == (2, ("503",))
    assert old.rewrite
    assert below_old.rewrite
    assert (old.rewrite.uri, below_old.rewrite.uri) == ("/v2", "/v2/")


def test_what_of_the_gateway_api_cannot_be_carried_over(reviews: Imported) -> None:
    told_of = "\n".join(reviews.notes)
    for name in (
        "public is the proxy group edge",
        "timeouts.backendRequest cannot",
        "retry.backoff cannot",
        "the labels of orders-v1 are made up",
        "the service is called reviews here",
    ):
        assert name in told_of, told_of
