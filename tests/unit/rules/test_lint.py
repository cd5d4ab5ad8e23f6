"""Warnings: they are told, and the document applies."""

import pytest

from tests.unit.rules.marked import Expected, assert_problems, unmark
from xds.documents.problem import Severity
from xds.rules.instance import Instance
from xds.rules.lint import lint_group, lint_instances
from xds.rules.parse import parse

SUBSETS = "subsets:\n  stable: {labels: {version: v1}}\n  gray: {labels: {version: v2}}\nbaseline: stable\n"


def _rule(name: str, *match: str, rest: str = "") -> str:
    alternatives = f", match: [{', '.join(match)}]" if match else ""
    return f"- {{name: {name}, route: [{{subset: gray}}]{alternatives}{rest}}}\n"


A, B = "{headers: {a: {in: [x, y]}, b: {exact: z}}}", "{uri: {exact: /}}"
A_AGAIN = "{headers: {B: {exact: 'z', not: false}, A: {in: [x, y]}}}"


@pytest.mark.parametrize(
    ("marked", "path", "message", "hint"),
    [
        (
            _rule("all") + _rule("x", A).replace("{name", "§{name"),
            "http[1]",
            "rule all takes every request",
            "above",
        ),
        (
            _rule("x", A) + _rule("y", B, "§" + A_AGAIN),
            "http[1].match[1]",
            "same as http[0].match[0]",
            "remove one",
        ),
        (_rule("x", A, "§" + A), "http[0].match[1]", "same as http[0].match[0]", "remove one"),
        (_rule("x", A, rest=", sticky: §{header: u}"), "http[0].sticky", "has no effect", "split"),
    ],
)
def test_warnings(marked: str, path: str, message: str, hint: str) -> None:
    marked = f"{SUBSETS}http:\n{marked}"
    assert_problems(marked, Expected(path, message, hint))
    parsed = parse("reviews.yaml", unmark(marked)[0].encode())
    assert parsed.rule
    assert [problem.severity for problem in parsed.problems] == [Severity.WARNING]


def test_every_rule_behind_one_that_takes_everything() -> None:
    marked = f"{SUBSETS}http:\n{_rule('all')}- §{_rule('x')[2:]}- §{_rule('y', A)[2:]}"
    assert_problems(marked, Expected("http[1]", "rule all takes"), Expected("http[2]", "rule all takes"))


def test_subsets_with_the_same_labels() -> None:
    marked = SUBSETS.replace("baseline", "  blue: §{labels: {version: v2}}\nbaseline")
    assert_problems(marked, Expected("subsets.blue", "has the labels of gray", "label"))


def test_no_needless_warnings() -> None:
    split = "route: [{subset: gray, weight: 100}, {subset: stable, weight: 0}], sticky: {header: u}"
    text = f"{SUBSETS}http:\n{_rule('a', A)}{_rule('b', B)}- {{name: ramp, {split}}}\n"
    assert parse("reviews.yaml", text.encode()).problems == ()


def test_subsets_without_instances() -> None:
    rule = parse("reviews.yaml", SUBSETS.encode()).rule
    assert rule
    v1 = Instance("10.0.0.1", 80, metadata={"version": "v1", "zone": "a"})
    v3 = Instance("10.0.0.2", 80, metadata={"version": "v3"})
    gray, *more = lint_instances("reviews.yaml", rule, [v1, v3])
    assert not more
    assert (gray.line, gray.path, gray.severity) == (0, "subsets.gray", Severity.WARNING)
    assert gray.message == "no instance of reviews has version=v2: its requests go to stable"
    assert gray.hint == "there is version=v1, version=v3"
    stable, gray = lint_instances("reviews.yaml", rule, [])
    assert (stable.path, stable.message) == ("subsets.stable", "no instance of reviews has version=v1")
    assert lint_instances("r", rule, [v1, Instance("::1", 80, metadata={"version": "v2"})]) == ()


def test_instances_that_grpc_clients_are_not_sent_are_named() -> None:
    rule = parse("reviews.yaml", SUBSETS.encode()).rule
    assert rule
    named = [Instance(f"i{number}.example", 80, metadata={"version": "v2"}) for number in range(7)]
    away = Instance("away.example", 80, healthy=False, metadata={"version": "v1"})
    instances = [Instance("10.0.0.1", 80, metadata={"version": "v1"}), away, *named]
    assert lint_instances("reviews.yaml", rule, instances) == ()
    [told] = lint_instances("reviews.yaml", rule, instances, grpc_clients=True)
    assert told.message == (
        "gRPC clients are not sent i0.example:80, i1.example:80, i2.example:80, i3.example:80, i4.example:80 "
        "and 2 more: they resolve no host names"
    )


@pytest.mark.parametrize(
    ("text", "registered", "has_groups", "expected"),
    [
        ("{}", [], True, None),
        ("{}", ["A"], True, None),
        (
            "{}",
            ["A", "B"],
            True,
            (
                "service",
                "reviews is registered in groups A, B: the instances of A are used",
                "say which: group: A",
            ),
        ),
        ("group: A", ["A", "B"], True, None),
        (
            "group: A",
            ["B"],
            True,
            ("group", "there is no reviews in naming group A", "it is registered in B"),
        ),
        ("group: A", [], True, ("group", "there is no reviews in naming group A", "")),
        (
            "group: A",
            [],
            False,
            ("group", "says nothing: instances that stand in files have no naming groups", "remove it"),
        ),
        ("{}", [], False, None),
    ],
)
def test_naming_groups(
    text: str, registered: list[str], has_groups: bool, expected: tuple[str, str, str] | None
) -> None:
    parsed = parse("reviews.yaml", text.encode())
    assert parsed.rule
    found = lint_group("reviews.yaml", parsed.rule, registered, parsed.positions, has_groups=has_groups)
    assert [(one.path, one.message, one.hint) for one in found] == ([expected] if expected else [])
    assert all(one.severity is Severity.WARNING and one.line for one in found)
