from typing import Any

import pytest

from tests.harness.routing import routing
from tests.unit.routing.test_evaluator import document, matching, percentage, split
from xds.routing import Request
from xds.routing.explanation import explain

CANARY = matching({"headers": {"x-release": {"exact": "canary"}}, "uri": {"prefix": "/api/"}}, "testers")


@pytest.mark.parametrize(
    ("rules", "request_", "expected"),
    [
        (
            [CANARY],
            Request(target="/api/a"),
            ["testers: x-release is canary (it is not there)", "baseline: every request matches"],
        ),
        (
            [CANARY],
            Request(target="/api/a", headers=(("x-release", "canary"),)),
            ['testers: the path begins with /api/ ("/api/a"); x-release is canary ("canary")'],
        ),
        (
            [percentage(50)],
            Request(headers=(("x-user-id", "42"),)),
            ["r: 50 % of the users by x-user-id (place 417,401 of 1,000,000)"],
        ),
        (
            [matching({"percentage": {"value": 5}})],
            Request(),
            ["r: chance decides: 5 % of the requests", "baseline: every request matches"],
        ),
        (
            [matching({"sourceIp": ["10.0.0.0/8"]})],
            Request(source="192.0.2.1"),
            ["r: the address is in 10.0.0.0/8 (192.0.2.1)", "baseline: every request matches"],
        ),
    ],
)
def test_it_says_why(rules: list[dict[str, Any]], request_: Request, expected: list[str]) -> None:
    explanation = explain(routing("a", document(*rules)), request_)
    assert [f"{one.rule}: {one.why}" for one in explanation.considered] == expected


def test_it_says_from_which_weight_on_a_user_changes_sides() -> None:
    explanation = explain(routing("a", document(split(4000))), Request(headers=(("x-user-id", "42"),)))
    assert explanation.rule == "r"
    assert explanation.chances() == [("a|stable", 1.0)]
    assert "r: this user is in gray from 41.7402 % on, else in stable" in explanation.notes
    moved = explain(routing("a", document(split(4175))), Request(headers=(("x-user-id", "42"),)))
    assert moved.chances() == [("a|gray", 1.0)]


def test_chances_are_those_of_all_that_may_decide() -> None:
    rules = [matching({"percentage": {"value": 50}}), split(1000) | {"name": "ramp"}]
    explanation = explain(routing("a", document(*rules)), Request())
    assert explanation.rule is None
    assert dict(explanation.chances()) == pytest.approx({"a|gray": 0.55, "a|stable": 0.45})
    assert "ramp: x-user-id is not there, so chance decides for each request" in explanation.notes


def test_what_a_rule_answers_by_itself() -> None:
    rule = {"name": "closed", "directResponse": {"status": 503}}
    explanation = explain(routing("a", document(rule)), Request())
    assert (explanation.action, explanation.chances()) == ("the answer 503", [("the answer 503", 1.0)])
