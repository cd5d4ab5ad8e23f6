"""What another version of a document changes, for whom, and for how many."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from xds.routing import Surroundings, routing_of
from xds.routing.comparison import Difference, compare
from xds.rules.model import RuleDocument

NOW = datetime(2026, 11, 25, tzinfo=UTC)
GRAY = {"route": [{"subset": "gray"}]}


def document(*rules: Mapping[str, object]) -> RuleDocument:
    http = [{"name": f"r{number}", **rule} for number, rule in enumerate(rules)]
    subsets = {name: {"labels": {"version": name}} for name in ("stable", "gray")}
    return RuleDocument.model_validate(
        {"service": "s", "subsets": subsets, "baseline": "stable", "http": http}
    )


def split(weight: int, **more: object) -> dict[str, object]:
    route = [{"subset": "stable", "weight": 100 - weight}, {"subset": "gray", "weight": weight}]
    return {"route": route, **more}


def differences(old: RuleDocument, new: RuleDocument) -> dict[str, Difference]:
    surroundings = Surroundings({"vip": ("alice", "bob")})
    routings = [routing_of("s", one, NOW, surroundings) for one in (old, new)]
    return {difference.who: difference for difference in compare(*routings)}


def moves(difference: Difference) -> dict[tuple[str, str], float]:
    return {(move.old, move.new): move.share for move in difference.moves}


def test_chance_is_told_exactly() -> None:
    [everybody] = differences(document(split(5)), document(split(25))).values()
    assert everybody.who == "everybody else"
    assert not everybody.users
    assert moves(everybody) == {
        ("stable", "gray"): pytest.approx(0.2),
        ("stable", "stable"): pytest.approx(0.75),
        ("gray", "gray"): pytest.approx(0.05),
    }


def test_raising_a_sticky_weight_takes_nobody_back() -> None:
    sticky = {"sticky": {"header": "x-user-id"}}
    [everybody] = differences(document(split(5, **sticky)), document(split(25, **sticky))).values()
    assert everybody.users
    assert moves(everybody) == {
        ("stable", "gray"): pytest.approx(0.2, abs=0.03),
        ("stable", "stable"): pytest.approx(0.75, abs=0.03),
        ("gray", "gray"): pytest.approx(0.05, abs=0.02),
    }


@pytest.mark.parametrize(
    ("match", "who"),
    [
        ({"headers": {"x-release": {"exact": "canary"}}}, "x-release is canary"),
        ({"cookies": {"release": {"prefix": "ca"}}}, "cookie release begins with ca"),
        ({"query": {"gray": {"range": {"start": 1, "end": 3}}}}, "query parameter gray is from 1 to 2"),
        (
            {"uri": {"prefix": "/api/"}, "method": {"exact": "POST"}},
            "the path begins with /api/ and the method is POST",
        ),
        ({"headers": {"x-user-id": {"in": {"list": "vip"}}}}, "x-user-id is in the list vip"),
        ({"sourceIp": ["10.0.0.0/8"]}, "the address is in 10.0.0.0/8"),
        ({"device": ["ios"]}, "device is ios"),
        ({"region": ["CN-*"]}, "region (x-region) is CN-*"),
        ({"headers": {"a": {"regex": "(?:b|c)d?"}}}, "a matches (?:b|c)d?"),
        ({"headers": {"a": {"present": True}, "b": {"present": False}}}, "a is there and b is not there"),
    ],
)
def test_those_whom_a_rule_names(match: dict[str, object], who: str) -> None:
    found = differences(document(), document({"match": [match], **GRAY}))
    assert list(found) == [who, "everybody else"]
    assert moves(found[who]) == {("stable", "gray"): 1.0}
    assert not found["everybody else"].changes


def test_a_share_of_those_whom_a_rule_names() -> None:
    match = {"device": ["android"], "percentage": {"value": 30, "cookie": "uid"}}
    found = differences(document(), document({"match": [match], **GRAY}))
    assert moves(found["device is android"])["stable", "gray"] == pytest.approx(0.3, abs=0.04)


def test_other_answers() -> None:
    redirect = {"match": [{"uri": {"exact": "/old"}}], "redirect": {"uri": "/new"}}
    answer = {"directResponse": {"status": 503}}
    found = differences(document(), document(redirect, answer))
    assert moves(found["the path is /old"]) == {("stable", "a redirect to /new"): 1.0}
    assert moves(found["everybody else"]) == {("stable", "the answer 503"): 1.0}


def test_what_no_request_can_be_made_up_for() -> None:
    match = {"headers": {"a": {"regex": "[0-9]{4}"}}}
    found = differences(document(), document({"match": [match], **GRAY}))
    assert not found["a matches [0-9]{4}"].tried
