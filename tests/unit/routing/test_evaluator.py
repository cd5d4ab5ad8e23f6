from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.routing import NOW, routing
from xds.routing import Overrides, Request, Surroundings, evaluate, routing_of
from xds.rules.model import LanesDocument, RuleDocument

USERS = [f"user-{number}" for number in range(2000)]
percents = st.floats(0, 100).map(lambda value: round(value, 2))


def document(*rules: dict[str, Any], **fields: Any) -> RuleDocument:
    subsets = {name: {"labels": {"version": name}} for name in ("stable", "gray", "blue")}
    return RuleDocument.model_validate(
        {"service": "a", "subsets": subsets, "baseline": "stable", "http": rules, **fields}
    )


def matching(match: dict[str, Any], name: str = "r", subset: str = "gray") -> dict[str, Any]:
    return {"name": name, "match": [match], "route": [{"subset": subset}]}


def users_in(rule: dict[str, Any]) -> set[str]:
    """Return which users a rule, or the gray side of its split, takes."""
    decided = routing("a", document(rule))
    found = set()
    for user in USERS:
        targets = evaluate(decided, Request(headers=(("x-user-id", user),))).targets()
        found |= {user for target, probability in targets.items() if target.subset == "gray" and probability}
    return found


def percentage(value: float, **fields: Any) -> dict[str, Any]:
    return matching({"percentage": {"value": value, "header": "x-user-id", **fields}})


def split(gray: int) -> dict[str, Any]:
    route = [{"subset": "stable", "weight": 10_000 - gray}, {"subset": "gray", "weight": gray}]
    return {"name": "r", "sticky": {"header": "x-user-id"}, "route": route}


@settings(max_examples=15)
@given(percents, percents)
def test_raising_a_percentage_only_adds_users(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert users_in(percentage(low)) <= users_in(percentage(high))


def test_a_percentage_and_a_sticky_split_take_the_same_users() -> None:
    assert users_in(percentage(12.5)) == users_in(split(1250))
    assert users_in(percentage(12.5, salt="a")) == users_in(percentage(12.5, salt="a"))


def test_salts_are_independent() -> None:
    one, other = users_in(percentage(50, salt="one")), users_in(percentage(50, salt="other"))
    assert abs(len(one & other) - len(USERS) / 4) < 100
    assert abs(len(one) - len(USERS) / 2) < 110


def test_without_an_identity_chance_decides_in_every_rule_anew() -> None:
    first = matching({"percentage": {"value": 50}}, "first")
    second = matching({"percentage": {"value": 50}}, "second", "blue")
    evaluation = evaluate(routing("a", document(first, second)), Request())
    chances = {outcome.decision.name: outcome.probability for outcome in evaluation.outcomes}
    assert chances == {"first": 0.5, "second": 0.25, "baseline": 0.25}


def test_alternatives_of_one_rule_share_their_chance() -> None:
    rule = matching({"percentage": {"value": 20}})
    rule["match"].append({"percentage": {"value": 50}})
    evaluation = evaluate(routing("a", document(rule)), Request())
    assert [outcome.probability for outcome in evaluation.outcomes] == [0.5, 0.5]


def test_a_user_without_the_identity_is_in_no_percentage() -> None:
    evaluation = evaluate(routing("a", document(percentage(100))), Request())
    assert [outcome.decision.name for outcome in evaluation.outcomes] == ["baseline"]


@pytest.mark.parametrize(
    ("agent", "hints", "devices"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Mobile/15E148", {}, {"ios", "mobile"}),
        ("Mozilla/5.0 (iPad; CPU OS 17_0) Safari", {}, {"ios", "tablet"}),
        ("Mozilla/5.0 (Linux; Android 15; Pixel) Chrome/130 Mobile Safari", {}, {"android", "mobile"}),
        ("Mozilla/5.0 (Linux; Android 14; SM-X910) Chrome/130 Safari", {}, {"android", "tablet"}),
        ("Mozilla/5.0 (Phone; OpenHarmony 5.0) ArkWeb Mobile", {}, {"harmonyos", "mobile"}),
        ("Mozilla/5.0 (Linux; Android 12; HarmonyOS; ALN) Mobile", {}, {"harmonyos", "mobile"}),
        ("Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/130", {}, {"desktop"}),
        ("Mozilla/5.0 (iPhone) Mobile MicroMessenger/8.0", {}, {"ios", "mobile", "wechat"}),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", {}, {"bot"}),
        (
            "Mozilla/5.0 (Linux; Android 10; K) Chrome/130 Mobile",
            {"sec-ch-ua-platform": '"Android"'},
            {"android", "mobile"},
        ),
        ("", {"sec-ch-ua-platform": '"iOS"', "sec-ch-ua-mobile": "?1"}, {"ios", "mobile"}),
        ("curl/8.10", {}, set()),
    ],
)
def test_devices(agent: str, hints: dict[str, str], devices: set[str]) -> None:
    request = Request(headers=(("User-Agent", agent), *hints.items()))
    words = ("ios", "android", "harmonyos", "mobile", "tablet", "desktop", "wechat", "bot")
    found = {
        word
        for word in words
        if evaluate(routing("a", document(matching({"device": [word]}))), request).outcomes[0].decision.name
        == "r"
    }
    assert found == devices


def test_schedules_are_read_at_a_time_and_say_when_they_change() -> None:
    rule = matching({"schedule": {"hours": ["18:00-19:00"], "timezone": "Asia/Shanghai"}})
    assert datetime(2026, 11, 25, 10, tzinfo=UTC) == NOW  # 18:00 in Shanghai
    for now, name, changes in (
        (NOW, "r", datetime(2026, 11, 25, 11, tzinfo=UTC)),
        (datetime(2026, 11, 25, 11, tzinfo=UTC), "baseline", datetime(2026, 11, 26, 10, tzinfo=UTC)),
    ):
        decided = routing_of("a", document(rule), now)
        assert decided.changes_at == changes
        assert evaluate(decided, Request()).outcomes[0].decision.name == name


def test_overrides_replace_weights_and_a_rollout_begins_with_nothing() -> None:
    rollout = {"subset": "gray", "steps": [{"weight": 5, "for": "10m"}, {"weight": 100}]}
    ramp = document(split(5000), rollout=rollout)
    waiting = evaluate(routing_of("a", ramp, NOW), Request()).targets()
    assert {target.subset for target in waiting} == {"stable"}
    overrides = Overrides({"r": {"gray": 5, "stable": 95}})
    moved = evaluate(routing_of("a", ramp, NOW, overrides=overrides), Request()).targets()
    assert {target.subset: chance for target, chance in moved.items()} == {"gray": 0.05, "stable": 0.95}


LANES = LanesDocument.model_validate(
    {
        "lanes": [
            {"name": "one", "header": "x-lane", "subset": "gray"},
            {"name": "two", "baggage": "lane", "subset": "green"},
        ]
    }
).lanes


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        ((), "all"),
        ((("x-lane", "one"),), "lane:one"),
        ((("x-lane", "two"),), "all"),
        ((("baggage", "a=b, lane = two;p=1"),), "lane"),
        ((("x-lane", "one"), ("x-vip", "1")), "vip"),
    ],
)
def test_lanes_come_after_rules_that_name_them_and_before_the_others(
    headers: tuple[tuple[str, str], ...], rule: str
) -> None:
    everything = {"name": "all", "route": [{"subset": "blue"}]}
    vip = matching({"lane": "one", "headers": {"x-vip": {"exact": "1"}}}, "vip", "blue")
    decided = routing_of("a", document(everything, vip), NOW, Surroundings(lanes=LANES))
    (outcome,) = evaluate(decided, Request(headers=headers)).outcomes
    assert outcome.decision.name == rule


def test_ten_lanes_add_a_route_for_each_subset_that_a_service_has() -> None:
    lanes = tuple(LANES[0].model_copy(update={"name": f"lane-{n}", "subset": "green"}) for n in range(10))
    rule = {"name": "all", "route": [{"subset": "gray"}]}
    decided = routing_of("a", document(rule), NOW, Surroundings(lanes=lanes))
    assert [decision.name for decision in decided.decisions] == ["lane", "all", "baseline"]
