"""The bucket header decides as the identity that it is made of."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.routing import NOW
from tests.unit.routing.test_evaluator import document, matching
from xds.routing import Request, Routing, Surroundings, evaluate, routing_of
from xds.routing.buckets import BUCKET_HEADER, decided_by_bucket, with_bucket
from xds.routing.predicates import Header

_USER = Header("x-user-id")


def split(header: str = "x-user-id", **weights: int) -> Routing:
    route = [{"subset": subset, "weight": weight} for subset, weight in weights.items()]
    rule = {"name": "ramp", "sticky": {"header": header}, "route": route}
    return routing_of("a", document(rule), NOW, Surroundings(bucket_by="x-user-id"))


@settings(max_examples=200)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40), st.integers(0, 999))
def test_behind_an_edge_a_bucket_decides_as_the_user_did_at_it(user: str, gray: int) -> None:
    routing = split(stable=1000 - gray, gray=gray, blue=3)
    at_edge = Request(headers=(("x-user-id", user), (BUCKET_HEADER, "an outsider's")))
    [value] = with_bucket(at_edge, _USER).lines(BUCKET_HEADER)
    behind = Request(headers=((BUCKET_HEADER, value),))
    assert evaluate(decided_by_bucket(routing), behind).targets() == evaluate(routing, at_edge).targets()


def test_without_the_header_the_split_decides() -> None:
    routing = split(stable=95, gray=5)
    nobody = Request()
    assert evaluate(decided_by_bucket(routing), nobody).targets() == evaluate(routing, nobody).targets()


def test_a_split_by_another_header_has_no_bucket() -> None:
    routing = split("x-device-id", stable=95, gray=5)
    assert decided_by_bucket(routing) == routing


def test_a_rule_may_match_on_buckets_where_the_user_is_known() -> None:
    tens = matching({"headers": {BUCKET_HEADER: {"range": {"start": 0, "end": 100_000}}}})
    by_bucket = routing_of("a", document(tens), NOW, Surroundings(bucket_by="x-user-id"))
    by_percentage = matching({"percentage": {"value": 10, "header": "x-user-id"}})
    same = routing_of("a", document(by_percentage), NOW)
    for number in range(300):
        request = Request(headers=(("x-user-id", f"user-{number}"),))
        assert evaluate(by_bucket, request).targets() == evaluate(same, request).targets()
