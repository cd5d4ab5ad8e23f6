"""What `grayplane lint` says beyond the warnings that everybody gets."""

# ruff: noqa: E501 - the tables are read by rows

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.unit.rules.marked import DOCUMENT, told, unmark
from xds.documents.problem import Severity
from xds.rules.coverage import covers
from xds.rules.instance import Instance
from xds.rules.lint import lint_instances, lint_service
from xds.rules.model import Match
from xds.rules.parse import parse

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SUBSETS = (
    "subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}\nbaseline: stable\nhttp:\n"
)


def rule(name: str, match: str = "", rest: str = "route: [{subset: gray}]") -> str:
    return f"- name: {name}\n  {rest}\n" + (f"  match: [{match}]\n" if match else "")


# fmt: off
ADVICE = [
    (rule("a", "{headers: {h: {prefix: x}}}") + rule("b", "§{headers: {h: {exact: xy}, i: {present: true}}}"), "http[1].match[0]", "http[0].match[0] of rule a takes all of its requests", "above"),
    (rule("a", "{uri: {prefix: /a}}, §{uri: {exact: /ab}}"), "http[0].match[1]", "http[0].match[0] takes all of its requests", ""),
    (rule("a", "{percentage: {value: 5, header: u}}") + rule("b", "{percentage: §{value: 15, header: u}}"), "http[1].match[0].percentage", "5 % of these users go to a: 10 % are left", "salt"),
    (rule("a", "{percentage: {value: 15, header: u}}") + rule("b", "§{percentage: {value: 5, header: u}}"), "http[1].match[0]", "takes all of its requests", ""),
    (rule("a", "{percentage: {value: §0}}"), "http[0].match[0].percentage.value", "0 percent", ""),
    (rule("a", "{schedule: §{until: 2026-11-25T12:00Z}}"), "http[0].match[0].schedule", "is over", ""),
    (rule("a", "{region: [CN-*, §CN-SH]}"), "http[0].match[0].region[1]", "is part of CN-*", ""),
    (rule("a", "{headers: {h: {regex: §'[^a]{20}[^b]{20}'}}}"), "http[0].match[0].headers.h.regex", "costs much: RE2 program size", "shorter"),
    (rule("a", "{headers: {h: {regex: §canary}}}"), "http[0].match[0].headers.h.regex", "needs no expression", 'write exact: "canary"'),
    (rule("a", r"{uri: {regex: §'/api/v1\.0/.*'}}"), "http[0].match[0].uri.regex", "needs no expression", 'write prefix: "/api/v1.0/"'),
    (rule("a", "{uri: {prefix: /}}", "route: [{subset: gray}]\n  fallback: §gray"), "http[0].fallback", "where the requests go anyway", ""),
    (rule("a", "{uri: {prefix: /}}", "route: [{subset: gray}]\n  mirror: {subset: §gray}"), "http[0].mirror.subset", "twice", ""),
    (rule("a", "{uri: {prefix: /}}", "route: [{subset: gray}]\n  timeout: 1s\n  retries: {attempts: 1, perTryTimeout: §1s}"), "http[0].retries.perTryTimeout", "no time for a retry", ""),
]
SILENT = [
    rule("a", "{headers: {h: {prefix: x}}}") + rule("b", "{headers: {h: {exact: Xy, ignoreCase: true}}}"),
    rule("a", "{percentage: {value: 5, header: u}}") + rule("b", "{percentage: {value: 15, header: u, salt: b}}"),
    rule("a", "{percentage: {value: 5}}") + rule("b", "{percentage: {value: 15}}"),
    rule("a", "{schedule: {until: 2026-11-25T12:01Z}}, {schedule: {from: 2026-11-25T13:00Z}}"),
    rule("a", "{headers: {h: {regex: 'v[0-9]+'}}, uri: {regex: '/a/(b|c)'}}"),
]
# fmt: on


@pytest.mark.parametrize(("marked", "path", "message", "hint"), ADVICE)
def test_advice(marked: str, path: str, message: str, hint: str) -> None:
    text, positions = unmark(SUBSETS + marked)
    parsed = parse(DOCUMENT, text.encode(), advice_at=NOW)
    assert parsed.rule
    assert [(one.line, one.column, one.path) for one in parsed.problems] == [(*positions[0], path)], told(
        parsed.problems
    )
    [problem] = parsed.problems
    assert message in problem.message
    assert hint in problem.hint
    assert problem.severity is Severity.WARNING


@pytest.mark.parametrize("text", SILENT)
def test_no_needless_advice(text: str) -> None:
    parsed = parse(DOCUMENT, (SUBSETS + text).encode(), advice_at=NOW)
    assert parsed.rule
    assert parsed.problems == ()


def test_a_subset_that_nothing_uses() -> None:
    parsed = parse(DOCUMENT, SUBSETS.replace("http:\n", "").encode(), advice_at=NOW)
    assert told(parsed.problems) == (
        "reviews.yaml:1:50: warning: subsets.gray: no rule sends requests to gray (remove it, unless a lane uses it)"
    )
    assert parse(DOCUMENT, SUBSETS.replace("http:\n", "").encode()).problems == ()


def test_a_subset_whose_instances_are_all_out_of_service() -> None:
    parsed = parse(DOCUMENT, (SUBSETS + rule("a")).encode())
    assert parsed.rule
    stable = Instance("10.0.0.1", 80, metadata={"version": "v1"})
    down = Instance("10.0.0.2", 80, healthy=False, metadata={"version": "v2"})
    weightless = Instance("10.0.0.3", 80, weight=0, metadata={"version": "v2"})
    [gray] = lint_instances(DOCUMENT, parsed.rule, [stable, down, weightless], parsed.positions)
    assert (gray.line, gray.column) == (1, 50)
    assert gray.message == "all 2 instances of gray are out of service: its requests go to stable"
    [gray] = lint_instances(DOCUMENT, parsed.rule, [stable, down])
    assert gray.message == "the one instance of gray is out of service: its requests go to stable"


def test_a_subset_whose_instances_the_registry_may_hide() -> None:
    parsed = parse(DOCUMENT, (SUBSETS + rule("a")).encode())
    assert parsed.rule
    stable = Instance("10.0.0.1", 80, metadata={"version": "v1"})
    [gray] = lint_instances(DOCUMENT, parsed.rule, [stable], hides_disabled=True)
    assert gray.message == (
        "no instance of reviews has version=v2, or it is disabled in the registry: its requests go to stable"
    )


def test_a_service_that_nobody_serves() -> None:
    parsed = parse(DOCUMENT, b"hosts: [reviews.example.com]\nservice: revews\n")
    assert parsed.rule
    serving = Instance("10.0.0.1", 80)
    assert lint_service(DOCUMENT, parsed.rule, [serving], parsed.positions) == ()
    [nobody] = lint_service(DOCUMENT, parsed.rule, [], parsed.positions)
    assert (nobody.line, nobody.message) == (2, "there is no instance of revews: requests fail")
    [down] = lint_service(DOCUMENT, parsed.rule, [replace(serving, healthy=False)])
    assert down.message == "the one instance of revews is out of service: requests fail"


# fmt: off
COVERED = [  # what the first takes, the second takes; whether the second covers the first
    ({"headers": {"h": {"exact": "a"}}}, {}, True),
    ({}, {"headers": {"h": {"exact": "a"}}}, False),
    ({"headers": {"h": {"in": ["ab", "ac"]}}}, {"headers": {"h": {"prefix": "a"}}}, True),
    ({"headers": {"h": {"in": ["ab", "bc"]}}}, {"headers": {"h": {"prefix": "a"}}}, False),
    ({"headers": {"h": {"exact": "AB", "ignoreCase": True}}}, {"headers": {"h": {"prefix": "a"}}}, False),
    ({"headers": {"h": {"exact": "AB"}}}, {"headers": {"h": {"prefix": "a", "ignoreCase": True}}}, True),
    ({"headers": {"h": {"prefix": "abc"}}}, {"headers": {"h": {"prefix": "ab"}}}, True),
    ({"headers": {"h": {"prefix": "abc"}}}, {"headers": {"h": {"suffix": "c"}}}, False),
    ({"headers": {"h": {"suffix": "abc"}}}, {"headers": {"h": {"contains": "b"}}}, True),
    ({"headers": {"h": {"contains": "abc"}}}, {"headers": {"h": {"prefix": "ab"}}}, False),
    ({"headers": {"h": {"regex": "a+"}}}, {"headers": {"h": {"present": True}}}, True),
    ({"headers": {"h": {"exact": "a", "not": True}}}, {"headers": {"h": {"present": True}}}, False),
    ({"headers": {"h": {"present": False}}}, {"headers": {"h": {"present": True}}}, False),
    ({"headers": {"h": {"range": {"start": 2, "end": 3}}}}, {"headers": {"h": {"range": {"start": 1, "end": 3}}}}, True),
    ({"headers": {"h": {"range": {"start": 0, "end": 3}}}}, {"headers": {"h": {"range": {"start": 1, "end": 3}}}}, False),
    ({"headers": {"h": {"in": {"list": "a"}}}}, {"headers": {"h": {"in": {"list": "a"}}}}, True),
    ({"headers": {"h": {"in": {"list": "a"}}}}, {"headers": {"h": {"in": {"list": "b"}}}}, False),
    ({"uri": {"exact": "/a/b"}}, {"uri": {"prefix": "/A/", "ignoreCase": True}}, True),
    ({"uri": {"regex": "/a"}}, {"uri": {"prefix": "/"}}, False),
    ({"sourceIp": ["10.1.0.0/16", "::1"]}, {"sourceIp": ["10.0.0.0/8", "::/0"]}, True),
    ({"sourceIp": ["10.1.0.0/16", "::1"]}, {"sourceIp": ["0.0.0.0/0"]}, False),
    ({"device": ["ios"]}, {"device": ["ios", "android"]}, True),
    ({"region": ["CN-SH"]}, {"region": ["CN-*"]}, True),
    ({"region": ["CN"]}, {"region": ["CN-*"]}, False),
    ({"percentage": {"value": 5, "header": "a"}}, {"percentage": {"value": 6, "header": "a"}}, True),
    ({"percentage": {"value": 5, "header": "a"}}, {"percentage": {"value": 6, "header": "b"}}, False),
    ({"percentage": {"value": 5}}, {"percentage": {"value": 6}}, False),
    ({"percentage": {"value": 5}}, {"percentage": {"value": 100}}, True),
    ({"lane": "a"}, {"lane": "a"}, True),
    ({"lane": "a"}, {"lane": "b"}, False),
]
# fmt: on


@pytest.mark.parametrize(("narrow", "wide", "covered"), COVERED)
def test_coverage(narrow: dict[str, object], wide: dict[str, object], covered: bool) -> None:
    assert covers(Match.model_validate(wide), Match.model_validate(narrow)) is covered
