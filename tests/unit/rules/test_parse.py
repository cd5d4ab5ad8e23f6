"""What parsing makes of good documents, and that no document whatsoever makes it raise."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.rules.documents import documents
from tests.unit.rules.marked import DOCUMENT, told
from xds.documents import stem_of
from xds.documents.problem import Severity
from xds.rules.model import RuleDocument
from xds.rules.parse import MAX_PROBLEMS, parse

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "config" / "rules"


class _Dumper(yaml.SafeDumper):
    """Quotes every text, so that YAML 1.1 and 1.2 agree about it."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def _rule(text: str, document: str = DOCUMENT) -> RuleDocument:
    parsed = parse(document, text.encode())
    assert parsed.rule, told(parsed.problems)
    return parsed.rule


def _words(rule: RuleDocument) -> Any:
    return rule.model_dump(mode="json", by_alias=True, exclude_unset=True)


@given(documents())
def test_round_trip(document: dict[str, Any]) -> None:
    as_yaml = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    as_json = json.dumps(document, ensure_ascii=False)
    rule = _rule(as_yaml)
    assert _words(rule) == document
    assert _rule(as_json) == rule
    assert RuleDocument.model_validate(_words(rule)) == rule


_WORDS = (
    "service enabled hosts gateways subsets labels baseline http name match uri method headers cookies query "
    "route subset weight sticky header cookie ttl timeout exact in range start end regex not"
)
_SIGNS = "a 1 010 -1 1.5 .nan true no ~ null 3s /a x-y * ** && &a *a !!str !x << ? | > \" ' # % @ ` \\ é 😀"
_LAYOUT = ("\n", "\n  ", "\n    ", "\n- ", ": ", ", ", "[", "]", "{", "}", "- ", "---\n", "...\n", "\t", "\r")
_CONTROLS = ("\x00", "\x1b", "\ufeff", "\u2028")
_PIECES = st.sampled_from((*_WORDS.split(), *_SIGNS.split(), *_LAYOUT, *_LAYOUT, *_CONTROLS))
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("5s"))
_MISTAKES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(_WORDS.split()), inner, max_size=6)
    ),
    max_leaves=30,
)


@settings(max_examples=500)
@given(
    st.one_of(
        st.binary(),
        st.lists(_PIECES).map("".join).map(str.encode),
        _MISTAKES.map(lambda value: yaml.dump(value, Dumper=_Dumper).encode()),
    ),
    st.sampled_from([DOCUMENT, "", "lanes.yaml", "a b.json", "\x00.yml"]),
)
@example(b'hosts: ["\\_\\r"]', DOCUMENT)
@example(b"%", DOCUMENT)
def test_no_document_raises(content: bytes, document: str) -> None:
    parsed = parse(document, content)
    errors = [problem for problem in parsed.problems if problem.severity is Severity.ERROR]
    assert (parsed.rule is None) == bool(errors)
    assert len(parsed.problems) <= MAX_PROBLEMS + 1
    assert [(p.line, p.column) for p in parsed.problems] == sorted(
        (p.line, p.column) for p in parsed.problems
    )
    for problem in parsed.problems:
        assert problem.document == document
        assert problem.line > 0
        assert problem.column > 0
        assert problem.message
        assert f"{problem.path}{problem.message}{problem.hint}".isprintable()
    assert parse(document, content) == parsed


def test_the_whole_language() -> None:
    rule = _rule(
        """
service: Reviews
enabled: false
hosts: [Reviews.Example.com, "*.example.com", 10.0.0.1, "*", my_host]
gateways: [edge, edge-2]
subsets: {stable: {labels: {version: v1, zone: ""}}, gray: {labels: {version: "2"}}}
baseline: stable
http:
- name: all
  match:
  - uri: {prefix: /api/v1;x=%20, not: true, ignoreCase: true}
    method: {in: [GET, POST]}
    headers: {X-A: {exact: no}, x-b: {range: {start: -5, end: 9223372036854775807}}}
    cookies: {Release: {present: false}}
    query: {Gray: {regex: '(?i)a\\d+|b', ignoreCase: true}}
  - headers: {x-c: {in: [on, 1-2, 2024-01-01, 1:30, 0x, 1_0, 评论]}}
  route: [{subset: gray, weight: 5}, {subset: stable, weight: 0}]
  sticky: {cookie: gray, ttl: 24h}
  timeout: 1m30.25s
"""
    )
    assert rule.service == "Reviews"
    assert rule.hosts == ("reviews.example.com", "*.example.com", "10.0.0.1", "*", "my_host")
    (http,) = rule.http
    first, second = http.match
    assert first.uri
    assert (first.uri.prefix, first.uri.not_, first.uri.ignore_case) == ("/api/v1;x=%20", True, True)
    assert first.method
    assert first.method.in_ == ("GET", "POST")
    assert first.headers["x-a"].exact == "no"
    assert first.headers["x-b"].range
    assert first.headers["x-b"].range.start == -5
    assert first.cookies["Release"].present is False
    assert first.query["Gray"].regex == r"(?i)a\d+|b"
    assert second.headers["x-c"].in_ == ("on", "1-2", "2024-01-01", "1:30", "0x", "1_0", "评论")
    assert http.sticky
    assert (http.sticky.cookie, http.sticky.ttl) == ("gray", timedelta(days=1))
    assert http.timeout == timedelta(seconds=90.25)
    assert rule.subsets["stable"].selects({"version": "v1", "zone": "", "other": "x"})
    assert not rule.subsets["stable"].selects({"version": "v1"})


def test_defaults() -> None:
    assert _rule("{}", "ratings.yaml") == RuleDocument(service="ratings", enabled=True, gateways=("edge",))
    rule = _rule("subsets: {v1: {labels: {a: b}}}\nbaseline: v1\nhttp: [{name: r, route: [{subset: v1}]}]")
    assert rule.http[0].match == ()
    assert rule.http[0].route[0].weight is None


@pytest.mark.parametrize(
    ("document", "service"),
    [
        ("reviews.yaml", "reviews"),
        ("reviews.yml", "reviews"),
        ("reviews.json", "reviews"),
        ("com.example.Reviews:1.0", "com.example.Reviews:1.0"),
        ("config/rules/reviews.yaml", "reviews"),
        ("a.yaml.json", "a.yaml"),
    ],
)
def test_the_service_that_a_document_is_named_after(document: str, service: str) -> None:
    assert stem_of(document) == service
    assert _rule("{}", document).service == service


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1ms", timedelta(milliseconds=1)),
        ("0.25s", timedelta(milliseconds=250)),
        ("1m30s", timedelta(seconds=90)),
        ("1h1m1s1ms", timedelta(hours=1, minutes=1, seconds=1, milliseconds=1)),
        ("8760h", timedelta(days=365)),
    ],
)
def test_durations(text: str, span: timedelta) -> None:
    rules = f"[{{name: r, route: [{{subset: a}}], timeout: {text}}}]"
    rule = _rule(f"subsets: {{a: {{labels: {{b: c}}}}}}\nbaseline: a\nhttp: {rules}")
    assert rule.http[0].timeout == span


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_examples(path: Path) -> None:
    parsed = parse(path.name, path.read_bytes())
    assert parsed.rule, told(parsed.problems)
    assert not parsed.problems
    assert parsed.rule.service == path.stem
