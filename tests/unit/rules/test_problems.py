"""Everything that can be wrong with a field: where, what is said, what would be right."""

# ruff: noqa: E501 - the tables are read by rows

import pytest

from tests.unit.rules.marked import Expected, assert_problems
from xds.rules.parse import parse

SUBSETS = "subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}\nbaseline: stable\n"
RULE = SUBSETS + "http:\n- name: r\n  route: [{subset: gray}]\n"
MATCH = RULE + "  match:\n  - "


# fmt: off
IN_DOCUMENT = [
    # the document
    ("§servce: a", "servce", "unknown field", "did you mean service?"),
    ("§Hosts: [a]", "Hosts", "unknown field", "did you mean hosts?"),
    ("§lanes: []", "lanes", "unknown field", ""),
    ("§xyzzy: 1", "xyzzy", "unknown field", "there is aliases, baseline, clients, enabled"),
    ("service: §5", "service", "expected text, found the number 5", 'write it in quotes: "5"'),
    ("service: §1.0", "service", "expected text, found the number 1.0", 'write it in quotes: "1.0"'),
    ("service: §010", "service", "expected text, found the number 010", 'write it in quotes: "010"'),
    ("service: §true", "service", "expected text, found true", 'write it in quotes: "true"'),
    ("service:§ ", "service", "has no value", "write one"),
    ("service: §~", "service", "has no value", "write one"),
    ('service: §""', "service", "a name of 0 characters", "1 to 200"),
    ("service: §" + "x" * 201, "service", "a name of 201 characters", "1 to 200"),
    ("service: §a|b", "service", '"a|b" is not a name', "letters, digits"),
    ("service: §评论", "service", "is not a name", "letters, digits"),
    ("enabled: §yes", "enabled", 'expected true or false, found the text "yes"', "write true"),
    ("enabled: §'false'", "enabled", 'expected true or false, found the text "false"', "write false"),
    ("enabled: §0", "enabled", "expected true or false, found the number 0", "write false"),
    ("enabled: §maybe", "enabled", "expected true or false", ""),
    # hosts and gateways
    ("hosts: §a.b", "hosts", 'expected a list, found the text "a.b"', "write a list: [a.b]"),
    ("hosts: §{a: b}", "hosts", "expected a list, found a mapping", "'- '"),
    ("hosts:§ ", "hosts", "has no value", "remove it"),
    ("hosts: [§a.b:80]", "hosts[0]", "not a host", "without the port: a.b"),
    ("hosts: [§https://a.b]", "hosts[0]", "not a host", "without the scheme"),
    ("hosts: [§a.b.]", "hosts[0]", "not a host", "without the dot at the end: a.b"),
    ("hosts: [§a..b]", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§a b]", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§-a.b]", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§'*a.b']", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§a.*]", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§a/b]", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§'']", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§'[::1]']", "hosts[0]", "not a host", "*.example.com"),
    ("hosts: [§10.0.0.256]", "hosts[0]", "not a host", "IPv4"),
    ("hosts: [§10.1]", "hosts[0]", "expected text, found the number 10.1", "in quotes"),
    ("hosts: [§'10.1']", "hosts[0]", "not a host", "IPv4"),
    ("hosts: [§bücher.de]", "hosts[0]", "not a host", "xn--bcher-kva.de"),
    (f"hosts: [§{'a' * 64}.b]", "hosts[0]", "not a host", ""),
    (f"hosts: [§{'a.' * 127}bc]", "hosts[0]", "not a host", ""),
    ("hosts: [a.b, c.d, §A.B]", "hosts[2]", '"A.B" is given twice, first in hosts[0]', "remove one"),
    (f"hosts: §[{','.join(f'h{i}' for i in range(1001))}]", "hosts", "too many entries", "at most 1000"),
    ("hosts: [a.b]\ngateways: §[]", "gateways", "nothing serves the hosts", "[edge]"),
    ("gateways: [edge, §edge]", "gateways[1]", '"edge" is given twice', "remove one"),
    ("gateways: [§a/b]", "gateways[0]", "not a name", ""),
    # subsets
    ("§subsets: {a: {labels: {v: x}}}", "baseline", "is missing", "takes all other requests: a"),
    ("baseline: §stable", "baseline", 'there is no subset "stable"', "define it under `subsets`"),
    (SUBSETS.replace(": stable", ": §stabel"), "baseline", 'no subset "stabel"', "did you mean stable?"),
    ("baseline: a\nsubsets: {a: §v1}", "subsets.a", 'found the text "v1"', "{labels: {version: v2}}"),
    ("baseline: a\nsubsets: {a: {labels: {v: §1}}}", "subsets.a.labels.v", "the number 1", '"1"'),
    ("baseline: a\nsubsets: {a: {labels: §{}}}", "subsets.a.labels", "is empty", "at least one"),
    ("baseline: a\nsubsets: {a: §{}}", "subsets.a.labels", "is missing", "metadata"),
    ("baseline: a\nsubsets: {a: {§version: v1, labels: {v: x}}}", "subsets.a.version", "unknown", "labels"),
    ("baseline: a\nsubsets: {a: {labels: {v: x}}, §a|b: {labels: {v: y}}}", 'subsets["a|b"]', "not a name", ""),
    ("baseline: a\nsubsets: {a: {labels: {app.k8s/v: §1}}}", 'subsets.a.labels["app.k8s/v"]', "text", '"1"'),
    ("baseline: a\nsubsets: §[a]", "subsets", "expected a mapping, found a list", ""),
    # rules
    (SUBSETS + "http: §{name: r}", "http", "expected a list, found a mapping", "'- '"),
    (SUBSETS + "http: [§r]", "http[0]", 'found the text "r"', "route: [{subset: gray}]"),
    (SUBSETS + "http: [§{name: r}]", "http[0].route", "is missing", "[{subset: gray}]"),
    (SUBSETS + "http: [§{route: [{subset: gray}]}]", "http[0].name", "is missing", "logs"),
    (RULE + "- name: §r\n  route: [{subset: gray}]", "http[1].name", "first in http[0].name", "remove one"),
    (RULE + "  §matches: []", "http[0].matches", "unknown field", "did you mean match?"),
    (RULE + "  timeout: §3", "http[0].timeout", "not a duration", "3s"),
    (RULE + "  timeout: §1.5", "http[0].timeout", "not a duration", "3s"),
    (RULE + "  timeout: §3 s", "http[0].timeout", "not a duration", "3s"),
    (RULE + "  timeout: §3d", "http[0].timeout", "not a duration", "h, m, s or ms"),
    (RULE + "  timeout: §100us", "http[0].timeout", "not a duration", "h, m, s or ms"),
    (RULE + "  timeout: §-3s", "http[0].timeout", "not a duration", ""),
    (RULE + "  timeout: §0s", "http[0].timeout", "longer than 0", "leave the field out"),
    (RULE + "  timeout: §0.5ms", "http[0].timeout", "whole number of milliseconds", "1500ms"),
    (RULE + "  timeout: §8761h", "http[0].timeout", "a year at most", "8760h"),
    (RULE + "  timeout: §" + "999999999h" * 4, "http[0].timeout", "a year at most", "8760h"),
    (RULE + "  timeout: §" + "999999999h" * 30, "http[0].timeout", "not a duration", ""),
    (RULE + "  timeout: §.nan", "http[0].timeout", "not a duration", "3s"),
    # routes
    (SUBSETS + "http: [{name: r, route: §[]}]", "http[0].route", "is empty", "at least one"),
    (SUBSETS + "http: [{name: r, route: §gray}]", "http[0].route", "expected a list", "[gray]"),
    (SUBSETS + "http: [{name: r, route: §{subset: gray}}]", "http[0].route", "found a mapping", "'- '"),
    (RULE.replace("gray}]", "§grey}]"), "http[0].route[0].subset", 'no subset "grey"', "did you mean gray?"),
    ("http: [{name: r, route: [{subset: §gray}]}]", "http[0].route[0].subset", 'no subset "gray"', "define it"),
    (RULE.replace("{subset: gray}", "§{weight: 1}"), "http[0].route[0].subset", "is missing", "name of a subset"),
    (RULE.replace("{subset: gray}", "§{subset: gray}, {subset: stable, weight: 5}"), "http[0].route[0].weight", "is missing", "every destination"),
    (RULE.replace("gray}", "gray, weight: 1}, {subset: §gray, weight: 5}"), "http[0].route[1].subset", '"gray" is given twice', "remove one"),
    (RULE.replace("[{subset: gray}", "§[{subset: gray, weight: 0}, {subset: stable, weight: 0}"), "http[0].route", "all weights are 0", "above 0"),
    (RULE.replace("[{subset: gray}", "§[{subset: gray, weight: 0}"), "http[0].route", "all weights are 0", "above 0"),
    (RULE.replace("[{subset: gray}", "§[{subset: gray, weight: 4294967295}, {subset: stable, weight: 1}"), "http[0].route", "add up to too much", "4294967295"),
    *((RULE.replace("gray}", f"gray, weight: §{weight}}}"), "http[0].route[0].weight", message, hint) for weight, message, hint in (
        ("-1", "too small", "at least 0"),
        ("4294967296", "too big", "at most 4294967295"),
        ("9" * 5000, "expected a whole number", "decimal digits only"),
        ("010", "expected a whole number, found the number 010", "write 10"),
        ("0x10", "expected a whole number, found the number 0x10", "decimal"),
        ("1_000", 'expected a whole number, found the text "1_000"', "write 1000"),
        ("95%", "expected a whole number", "write 95"),
        ("'95'", 'expected a whole number, found the text "95"', "write 95"),
        ("95.0", "expected a whole number, found the number 95.0", "write 95"),
        ("0.5", "expected a whole number, found the number 0.5", "decimal digits"),
        (".inf", "expected a whole number, found the number .inf", "decimal digits"),
        ("true", "expected a whole number, found true", "decimal digits"),
        ("", "has no value", "write one"),
    )),
    # sticky
    (RULE + "  sticky: §x-user-id", "http[0].sticky", "expected a mapping", "with header, cookie, query, sourceIp, ttl"),
    (RULE + "  sticky: §{}", "http[0].sticky", "nothing identifies a user", "name a header"),
    (RULE + "  sticky: §{header: a, cookie: b}", "http[0].sticky", "both header and cookie", "identifies a user"),
    (RULE + "  sticky: §{header: a, ttl: 1h}", "http[0].sticky", "ttl without cookie", "remove ttl"),
    (RULE + "  sticky: §{cookie: a, ttl: 1500ms}", "http[0].sticky", "whole seconds", "24h"),
    (RULE + "  sticky: {cookie: a, ttl: §0s}", "http[0].sticky.ttl", "longer than 0", ""),
    (RULE + "  sticky: {cookie: §a b}", "http[0].sticky.cookie", "not a cookie name", ""),
    (RULE + "  sticky: {header: §host}", "http[0].sticky.header", "cannot be used as a header", "hosts"),
]
# fmt: on


@pytest.mark.parametrize(("marked", "path", "message", "hint"), IN_DOCUMENT)
def test_document(marked: str, path: str, message: str, hint: str) -> None:
    assert_problems(marked, Expected(path, message, hint))


# fmt: off
IN_MATCH = [
    (RULE + "  match: §[]", "", "is empty", "leave `match` out"),
    (RULE + "  match: §{headers: {a: {exact: b}}}", "", "expected a list, found a mapping", "'- '"),
    (MATCH + "§{}", "[0]", "is empty", "leave `match` out"),
    (MATCH + "§all", "[0]", 'found the text "all"', "{headers: {x-release: {exact: canary}}}"),
    (MATCH + "headers: §{}", "[0].headers", "is empty", "remove the key"),
    (MATCH + "headers: §[a]", "[0].headers", "expected a mapping, found a list", ""),
    (MATCH + "§header: {}", "[0].header", "unknown field", "did you mean headers?"),
    (MATCH + "§headers.x: a", '[0]["headers.x"]', "unknown field", "did you mean headers?"),
    # names
    (MATCH + "headers: {§x y: {exact: a}}", '[0].headers["x y"]', "not a header name", "x-user-id"),
    (MATCH + "headers: {§'': {exact: a}}", '[0].headers[""]', "not a header name", ""),
    (MATCH + "headers: {§用户: {exact: a}}", "[0].headers.用户", "not a header name", ""),
    (MATCH + "headers: {§':path': {exact: a}}", '[0].headers[":path"]', "as a header", "`uri`"),
    (MATCH + "headers: {§':method': {exact: a}}", '[0].headers[":method"]', "as a header", "`method`"),
    (MATCH + "headers: {§':authority': {exact: a}}", '[0].headers[":authority"]', "as a header", "`hosts`"),
    (MATCH + "headers: {§Host: {exact: a}}", "[0].headers.Host", "as a header", "`hosts`"),
    (MATCH + "headers: {§':scheme': {exact: a}}", '[0].headers[":scheme"]', "not a header name", ""),
    (MATCH + "headers: {X-A: {exact: a}, §x-a: {exact: b}}", "[0].headers.x-a", "same header as X-A", "case"),
    (MATCH + "cookies: {§a;b: {exact: a}}", '[0].cookies["a;b"]', "not a cookie name", ""),
    (MATCH + "query: {§a=b: {exact: a}}", '[0].query["a=b"]', "query parameter", "percent-encoded"),
    (MATCH + "query: {§1: {exact: a}}", "[0].query.1", "the key 1 is not text", 'in quotes: "1"'),
    # paths and methods
    (MATCH + "uri: §/api", "[0].uri", 'found the text "/api"', '{prefix: "/api"} or {exact: "/api"}'),
    (MATCH + "uri: {§suffix: .png}", "[0].uri.suffix", "unknown field", "regex"),
    (MATCH + "uri: §{}", "[0].uri", "no operator", "exact, prefix, regex"),
    (MATCH + "uri: {prefix: §api}", "[0].uri.prefix", '"api" is not a path', "begins with '/'"),
    (MATCH + "uri: {exact: §/a?b=c}", "[0].uri.exact", "no '?'", "`query`"),
    (MATCH + "uri: {exact: §/a#b}", "[0].uri.exact", "no '?' or '#'", ""),
    (MATCH + "uri: {exact: §/a b}", "[0].uri.exact", "visible ASCII", "/a%20b"),
    (MATCH + "uri: {exact: §/评%2F}", "[0].uri.exact", "visible ASCII", "/%E8%AF%84%2F"),
    (MATCH + "method: §GET", "[0].method", 'found the text "GET"', '{exact: "GET"}'),
    (MATCH + "method: §{exact: get}", "[0].method", '"get" is not a method', "upper case: GET"),
    (MATCH + "method: §{in: [GET, 'P T']}", "[0].method", "not a method", "such as GET"),
    (MATCH + "method: §{present: true}", "[0].method", "present means nothing", "exact or in"),
    (MATCH + "method: §{range: {start: 1, end: 2}}", "[0].method", "range means nothing", "exact or in"),
]
# fmt: on


@pytest.mark.parametrize(("marked", "path", "message", "hint"), IN_MATCH)
def test_match(marked: str, path: str, message: str, hint: str) -> None:
    assert_problems(marked, Expected(f"http[0].match{path}", message, hint))


# fmt: off
IN_MATCHER = [
    ("§canary", "", 'expected a mapping, found the text "canary"', '{exact: "canary"}'),
    ("§1", "", "expected a mapping, found the number 1", '{exact: "1"}'),
    ("§true", "", "expected a mapping, found true", '{exact: "true"}'),
    ("§{}", "", "no operator", "exact, prefix, suffix, contains, regex, in, range, present"),
    ("§{not: true}", "", "no operator", "exact"),
    ("§{exact: a, prefix: b}", "", "2 operators: exact, prefix", "give one"),
    ("{§equals: a, exact: b}", ".equals", "unknown field", "there is contains"),
    ("{§Exact: a, regex: b}", ".Exact", "unknown field", "did you mean exact?"),
    ("{exact: a, §ignore_case: true}", ".ignore_case", "unknown field", "did you mean ignoreCase?"),
    ("{exact: a, §not_: true}", ".not_", "unknown field", "did you mean not?"),
    ("{exact: a, not: §no}", ".not", "expected true or false", "write false"),
    ("{exact: §1}", ".exact", "expected text, found the number 1", 'write it in quotes: "1"'),
    ("{exact: §1.0}", ".exact", "expected text, found the number 1.0", 'write it in quotes: "1.0"'),
    ("{exact: §1e3}", ".exact", "expected text, found the number 1e3", 'write it in quotes: "1e3"'),
    ("{exact: §+7}", ".exact", "expected text, found the number +7", 'write it in quotes: "+7"'),
    ("{exact: §false}", ".exact", "expected text, found false", 'write it in quotes: "false"'),
    ("{exact: §null}", ".exact", "has no value", ""),
    ("{exact: §[a]}", ".exact", "expected text, found a list", ""),
    ("{exact: §''}", ".exact", "an empty text", "present: false"),
    ("{prefix: §''}", ".prefix", "an empty text", ""),
    ("{suffix: §''}", ".suffix", "an empty text", ""),
    ("{contains: §''}", ".contains", "an empty text", ""),
    ('{exact: §"a\\r\\nb"}', ".exact", "U+000D never occurs", "remove"),
    ('{prefix: §"a\\0"}', ".prefix", "U+0000 never occurs", "remove"),
    ("{in: §a}", ".in", 'expected a list, found the text "a"', "write a list: [a]"),
    ("{in: §[]}", ".in", "is empty", "at least one"),
    ("{in: [a, §'']}", ".in[1]", "an empty text", ""),
    ("{in: [a, §2]}", ".in[1]", "found the number 2", '"2"'),
    ("{in: [a, b, §a]}", ".in[2]", '"a" is given twice, first in http[0].match[0].headers.h.in[0]', "remove one"),
    ("{in: [a, §A], ignoreCase: true}", ".in[1]", '"A" is given twice', "remove one"),
    ("{range: §[1, 5]}", ".range", "expected a mapping, found a list", ""),
    ("{range: §1-5}", ".range", "expected a mapping", "start, end"),
    ("{range: §{start: 1}}", ".range.end", "is missing", "after the highest"),
    ("{range: §{start: 5, end: 5}}", ".range", "from 5 up to, not including, 5 is empty", "end: 6"),
    ("{range: {start: §1.5, end: 5}}", ".range.start", "expected a whole number", ""),
    ("{range: {start: 0, end: §9223372036854775808}}", ".range.end", "too big", "9223372036854775807"),
    ("{range: {start: §-9223372036854775809, end: 0}}", ".range.start", "too small", "-9223372036854775808"),
    ("{present: §1}", ".present", "expected true or false, found the number 1", "write true"),
    ("§{present: true, ignoreCase: true}", "", "ignoreCase means nothing with present", "remove"),
    ("§{range: {start: 1, end: 2}, ignoreCase: true}", "", "ignoreCase means nothing with range", "remove"),
    ("{regex: §''}", ".regex", "an empty regular expression", '"^$"'),
    ("{regex: §'('}", ".regex", "missing ): (", "RE2"),
    ("{regex: §'(?=a)'}", ".regex", "invalid perl operator: (?=", "no look-around"),
    (r"{regex: §'(a)\1'}", ".regex", r"invalid escape sequence: \1", "no back-references"),
    ("{regex: §'a{500}'}", ".regex", "too complex", "504 instead of at most 100"),
    ("{regex: §'(.{30}){30}'}", ".regex", "too complex", "at most 100"),
    ("{regex: §'(a{99}){99}'}", ".regex", "repetition size", "RE2"),
    ("{regex: §" + "a" * 513 + "}", ".regex", "513 characters", "at most 512"),
    ("{regex: §评.*}", ".regex", "visible ASCII", "bytes"),
    (r"{regex: §'\pL+'}", ".regex", "Unicode classes", "[A-Za-z]"),
    ("§{regex: '[^a]{48}', ignoreCase: true}", "", "too complex", "148 instead of at most 100"),
    ("{regex: §'" + "[a-y]" * 99 + "'}", ".regex", "too complex", "103 instead"),
]
# fmt: on


@pytest.mark.parametrize(("matcher", "path", "message", "hint"), IN_MATCHER)
def test_matcher(matcher: str, path: str, message: str, hint: str) -> None:
    for kind in ("headers", "cookies", "query"):
        expected = Expected(f"http[0].match[0].{kind}.h{path}", message.replace("headers", kind), hint)
        assert_problems(f"{MATCH}{kind}: {{h: {matcher}}}", expected)


def test_all_kinds_of_problems_are_told_at_once() -> None:
    assert_problems(
        """service: reviews
§servce: reviews
hosts: [a.b, §a.b, §-]
subsets:
  gray: {labels: {version: §2}}
  §gray: {labels: {version: v3}}
  blue: {labels: {version: v4}}
baseline: §stable
http:
- name: testers
  match:
  - headers: {x-release: {regex: §"("}}
  - headers: {x-release: §{exact: a, prefix: b}, x-user: §1}
  route: [{subset: §grey}]
  timeout: §3
- §route: [{subset: gray, weight: §-5}, §{subset: blue}]
""",
        Expected("servce", "unknown field", "did you mean service?"),
        Expected("hosts[1]", "given twice"),
        Expected("hosts[2]", "not a host"),
        Expected("subsets.gray.labels.version", "expected text"),
        Expected("subsets.gray", "given twice, first at line 5"),
        Expected("baseline", "no subset"),
        Expected("http[0].match[0].headers.x-release.regex", "missing )"),
        Expected("http[0].match[1].headers.x-release", "2 operators"),
        Expected("http[0].match[1].headers.x-user", "expected a mapping"),
        Expected("http[0].route[0].subset", "no subset", "did you mean gray?"),
        Expected("http[0].timeout", "not a duration"),
        Expected("http[1].name", "is missing"),
        Expected("http[1].route[0].weight", "too small"),
        Expected("http[1].route[1].weight", "is missing"),
    )


def test_the_name_of_the_document_is_the_service() -> None:
    assert_problems("§hosts: [a.b]", Expected("service", '"a b" is not a name'), document="a b.yaml")


def test_wildcard_hosts_on_a_gateway_that_serves_exact_hosts_only() -> None:
    text = b"gateways: [edge, inner]\nhosts:\n  - reviews.example.com\n  - '*.example.com'\n"
    parsed = parse("reviews.yaml", text, exact_only=lambda gateway: gateway == "inner")
    assert parsed.rule is None
    [problem] = parsed.problems
    assert (problem.line, problem.column, problem.path) == (4, 5, "hosts[1]")
    assert "inner" in problem.message
    assert "shared" in problem.hint
    assert parse("reviews.yaml", text).rule
    assert parse("reviews.yaml", b"hosts: [a.example.com]", exact_only=lambda _: True).rule


def test_a_naming_group_that_is_not_followed() -> None:
    text = b"hosts: [reviews.example.com]\ngroup: ORDERS\n"
    parsed = parse("reviews.yaml", text, groups=("ORDERS_GROUP", "DEFAULT_GROUP"))
    assert parsed.rule is None
    [problem] = parsed.problems
    assert (problem.line, problem.column, problem.path) == (2, 8, "group")
    assert problem.message == 'no instances are taken from naming group "ORDERS"'
    assert (
        problem.hint
        == "there is ORDERS_GROUP, DEFAULT_GROUP; the operator can add others to nacos.naming_groups"
    )
    for groups in (None, ("ORDERS", "DEFAULT_GROUP")):
        rule = parse("reviews.yaml", text, groups=groups).rule
        assert rule
        assert rule.group == "ORDERS"
    assert parse("reviews.yaml", b"hosts: [a.example.com]", groups=("DEFAULT_GROUP",)).rule
