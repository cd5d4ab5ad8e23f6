"""The words beyond matches and splits: what may stand in them, and what is said where it is wrong."""

# ruff: noqa: E501 - the tables are read by rows

from datetime import datetime

import pytest

from tests.unit.rules.marked import DOCUMENT, Expected, assert_problems, told
from xds.rules.lists import ListDocument
from xds.rules.model import LanesDocument, RuleDocument, Schedule
from xds.rules.parse import parse

SUBSETS = "subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}\nbaseline: stable\n"
RULE = SUBSETS + "http:\n- name: r\n  route: [{subset: gray}]\n"
SPLIT = SUBSETS + "http:\n- name: r\n  route: [{subset: stable, weight: 9}, {subset: gray, weight: 1}]\n"
OTHER = SUBSETS + "http:\n- name: r\n"
POLICY = "trafficPolicy: "
ROLLOUT = SPLIT + "rollout: "


LANES = "lanes:\n- {name: gray, baggage: gray-lane, subset: gray, enter: [{percentage: {value: 1, header: x-user-id}}]}\n"


def document(text: str) -> RuleDocument:
    parsed = parse(DOCUMENT, text.encode())
    assert parsed.rule, told(parsed.problems)
    return parsed.rule


# fmt: off
GOOD = [
    *(RULE + f"  match: [{{{match}}}]" for match in (
        "sourceIp: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32', '::1']",
        "device: [ios, android, harmonyos, mobile, tablet, desktop, wechat, bot]",
        "region: [CN, cn-sh, CN-*, US-CA, GB-*]",
        "percentage: {value: 5}",
        "percentage: {value: 0.0001, header: x-user-id, salt: a}",
        "percentage: {value: 100, cookie: uid}",
        "percentage: {value: 99.9999, query: uid}",
        "percentage: {value: 0, sourceIp: true}",
        "lane: gray",
        "headers: {x-user-id: {in: {list: vip-users}, not: true}}",
        "schedule: {from: 2026-11-25T10:00, until: '2026-12-01', timezone: Asia/Shanghai}",
        "schedule: {from: 2026-11-25T10:00:30+08:00}",
        "schedule: {until: 2026-11-25T10:00Z}",
        "schedule: {days: [mon, sun], hours: [09:00-12:00, 22:00-06:00, 00:00-24:00], timezone: UTC}",
    )),
    *(SPLIT + f"  sticky: {sticky}" for sticky in ("{query: uid}", "{sourceIp: true}")),
    *(RULE + f"  {key}" for key in (
        "fallback: none",
        "fallback: gray",
        "retries: {attempts: 0}",
        "retries: {attempts: 2, perTryTimeout: 1s, retryOn: [5xx, reset, connect-failure, '503', unavailable]}",
        "mirror: {subset: stable}",
        "mirror: {subset: stable, percentage: 0.5}",
        "fault: {delay: {fixedDelay: 2s}}",
        "fault: {delay: {fixedDelay: 2s, percentage: 1}, abort: {httpStatus: 503, percentage: 0.1}}",
        "fault: {abort: {grpcStatus: UNAVAILABLE}}",
        "headers: {request: {set: {X-A: '50 %'}, add: {x-b: b}, remove: [x-c]}, response: {set: {x-a: c}}}",
        "rewrite: {uri: /v2/, authority: 'reviews.internal:8080'}",
        r"rewrite: {uriRegex: {match: '^/v1/(.*)$', rewrite: '/v2/\1'}}",
    )),
    *(OTHER + f"  {key}" for key in (
        "redirect: {uri: /new}",
        "redirect: {authority: gray.example.com, scheme: https, redirectCode: 308}",
        "directResponse: {status: 503, body: 稍后再来}",
        "directResponse: {status: 204}\n  headers: {response: {set: {x-a: b}}}\n  fault: {delay: {fixedDelay: 1s}}",
    )),
    "aliases: [foo-bar, Foo.example.com]",
    "clients: [grpc, envoy]",
    *(POLICY + policy for policy in (
        "{protocol: grpc}",
        "{tls: {mode: SIMPLE, sni: a.b, subjectAltNames: [a.b, 'spiffe://a/b'], caCertificates: /a}}",
        "{tls: {mode: MUTUAL, clientCertificate: /a, privateKey: /b}}",
        "{tls: {mode: DISABLE}}",
        "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 60s}}}",
        "{loadBalancer: {localityLbSetting: {enabled: true, minLocalInstances: 2}}}",
        "{loadBalancer: {consistentHash: {httpCookie: {name: uid, ttl: 1h}}}}",
        "{connectionPool: {tcp: {maxConnections: 10, connectTimeout: 1s}, http: {http1MaxPendingRequests: 1, http2MaxRequests: 5}}}",
        "{outlierDetection: {consecutive5xxErrors: 5, interval: 1s, baseEjectionTime: 30s, maxEjectionPercent: 50}}",
        "{healthCheck: {path: /healthz, interval: 5s, timeout: 1s, unhealthyThreshold: 3}}",
    )),
    *(ROLLOUT + rollout for rollout in (
        "{subset: gray, steps: [{weight: 100}]}",
        "{rule: r, subset: gray, revision: 2.4.1, onFailure: pause, steps: [{weight: 0.5, for: 10m}, {weight: 50, approval: true}, {weight: 100}]}",
        ("{subset: gray, steps: [{weight: 5, for: 1m}], schedule: {days: [mon], hours: [10:00-17:00], timezone: UTC}, analysis: "
        "{interval: 30s, failureLimit: 3, minRequests: 100, successRate: {min: 99.5, maxDropFromBaseline: 0.5}, latency: {p99: 500ms, maxRatioToBaseline: 1.5}, "
        "prometheus: [{name: e, query: a, max: 0.01}], webhooks: [{name: s, url: 'https://a.b/c', when: on-rollback}]}}"),
    )),
]
BAD = [
    # matches
    *((RULE + "  match: [{" + match + "}]", "http[0].match[0]." + path, message, hint) for match, path, message, hint in (
        ("sourceIp: §10.0.0.0/8", "sourceIp", "expected a list", "[10.0.0.0/8]"),
        ("sourceIp: [§10.0.0.1/8]", "sourceIp[0]", "bits set behind the prefix", "the network is 10.0.0.0/8"),
        ("sourceIp: [§example.com]", "sourceIp[0]", "is no network", "10.0.0.0/8"),
        ("sourceIp: [10.0.0.0/8, §10.0.0.0/8]", "sourceIp[1]", "is given twice", ""),
        ("device: [§iphone]", "device[0]", '"iphone" is not known here', "android, bot"),
        ("device: [§io]", "device[0]", '"io" is not known here', "did you mean ios?"),
        ("region: [§China]", "region[0]", "is not a region", "CN"),
        ("region: [§'*']", "region[0]", "is not a region", "CN"),
        ("percentage: §5", "percentage", "expected a mapping, found the number 5", "header, cookie, query, sourceIp, value, salt"),
        ("percentage: {value: §101}", "percentage.value", "101 is not a percentage", "0 to 100"),
        ("percentage: {value: §5%}", "percentage.value", "expected a number", "write 5"),
        ("percentage: {value: §0.00001}", "percentage.value", "four decimals", ""),
        ("percentage: {value: §.nan}", "percentage.value", "expected a number, found the number .nan", ""),
        ("percentage: {value: §true}", "percentage.value", "expected a number", ""),
        ("percentage: §{value: 5, header: a, cookie: b}", "percentage", "both header and cookie", "one"),
        ("percentage: §{value: 5, salt: a}", "percentage", "salt without an identity", "header"),
        ("percentage: {value: 5, header: a, salt: §a b}", "percentage.salt", "is not a salt", ""),
        ("percentage: §{value: 5, sourceIp: false}", "percentage", "sourceIp: false means nothing", "true"),
        ("headers: {a: {in: {list: b, §lst: b}}}", "headers.a.in.lst", "unknown field", "did you mean list?"),
        ("headers: {a: {in: {list: §a/b}}}", "headers.a.in.list", "is not a name", ""),
        ("method: §{in: {list: a}}", "method", "a list means nothing for a method", "[GET, HEAD]"),
        ("schedule: §{}", "schedule", "no time", "from, until, days or hours"),
        ("schedule: §{hours: [10:00-11:00]}", "schedule", "no timezone", "Asia/Shanghai"),
        ("schedule: §{from: 2026-01-01}", "schedule", "no timezone", "Asia/Shanghai"),
        ("schedule: {from: §2026-02-30Z, timezone: UTC}", "schedule.from", "is not a date", "2026-11-25"),
        ("schedule: {from: §2026, timezone: UTC}", "schedule.from", "expected text", "quotes"),
        ("schedule: {days: [§monday], timezone: UTC}", "schedule.days[0]", "is not known here", "did you mean mon?"),
        ("schedule: {hours: [§10-11], timezone: UTC}", "schedule.hours[0]", "not a range of hours", "09:00-18:00"),
        ("schedule: {hours: [§10:00-10:00], timezone: UTC}", "schedule.hours[0]", "same time", "00:00-24:00"),
        ("schedule: {hours: [10:00-11:00], timezone: §Asia/Shangai}", "schedule.timezone", "no time zone", "did you mean Asia/Shanghai?"),
        ("schedule: §{from: 2026-01-02T10:00Z, until: 2026-01-02T10:00Z}", "schedule", "until is not after from", "exchange"),
    )),
    # what rules do
    *((RULE + "  " + key, "http[0]." + path, message, hint) for key, path, message, hint in (
        ("fallback: §blue", "fallback", 'no subset "blue"', "stable"),
        ("retries: §2", "retries", "expected a mapping", "attempts, perTryTimeout, retryOn"),
        ("retries: §{}", "retries.attempts", "is missing", ""),
        ("retries: {attempts: §101}", "retries.attempts", "too big", "100"),
        ("retries: {attempts: 1, retryOn: §5xx}", "retries.retryOn", "expected a list", "[5xx]"),
        ("retries: {attempts: 1, retryOn: [§503]}", "retries.retryOn[0]", "expected text", '"503"'),
        ("retries: {attempts: 1, retryOn: [§resets]}", "retries.retryOn[0]", "no retry condition", "did you mean reset?"),
        ("mirror: {subset: §blue}", "mirror.subset", 'no subset "blue"', ""),
        ("mirror: {subset: gray, percentage: §0}", "mirror.percentage", "no effect", ""),
        ("fault: §{}", "fault", "no fault", "delay, abort"),
        ("fault: {abort: §{}}", "fault.abort", "no status", "httpStatus"),
        ("fault: {abort: §{httpStatus: 500, grpcStatus: INTERNAL}}", "fault.abort", "both httpStatus and grpcStatus", ""),
        ("fault: {abort: {httpStatus: §100}}", "fault.abort.httpStatus", "too small", "200"),
        ("fault: {abort: {grpcStatus: §14}}", "fault.abort.grpcStatus", "expected text, found the number 14", "UNAVAILABLE"),
        ("fault: {delay: {fixedDelay: §2}}", "fault.delay.fixedDelay", "not a duration", ""),
        ("headers: {§x-release: {exact: a}}", "headers.x-release", "unknown field", ""),
        ("headers: {request: §{}}", "headers.request", "no change", ""),
        ("headers: {request: {set: {§host: a}}}", "headers.request.set.host", "cannot be used as a header", ""),
        ('headers: {request: {set: {a: §"b\\nc"}}}', "headers.request.set.a", "not the value of a header", "ASCII"),
        ("headers: {request: {set: {a: §1}}}", "headers.request.set.a", "expected text", '"1"'),
        ("headers: {request: {set: {a: b}, remove: [§A]}}", "headers.request.remove[0]", "the same header as http[0].headers.request.set.a", ""),
        ("rewrite: §{}", "rewrite", "no rewrite", ""),
        ("rewrite: §{uri: /a, uriRegex: {match: a, rewrite: b}}", "rewrite", "both uri and uriRegex", ""),
        ("rewrite: {uri: §v2}", "rewrite.uri", "is not a path", "begins with"),
        (r"rewrite: {uriRegex: §{match: a, rewrite: '\1'}}", "rewrite.uriRegex", "a group that the expression does not have", "( )"),
        (r"rewrite: {uriRegex: {match: a, rewrite: §'\x'}}", "rewrite.uriRegex.rewrite", "a backslash is followed", ""),
        ("rewrite: {authority: §'http://a'}", "rewrite.authority", "is not a host", ""),
        ("redirect: §{uri: /a}", "redirect", "both route and redirect", "one of them"),
    )),
    *((OTHER + "  " + key, "http[0]." + path, message, hint) for key, path, message, hint in (
        ("redirect: §{}", "redirect", "leads nowhere else", "uri"),
        ("redirect: {uri: /a, redirectCode: §200}", "redirect.redirectCode", "200 does not redirect", "301"),
        ("redirect: {uri: /a}\n  retries: §{attempts: 1}", "retries", "means nothing with redirect", ""),
        ("directResponse: {status: 200, body: §''}", "directResponse.body", "a body of 0 bytes", "4,096"),
        ("directResponse: {status: 200, body: §" + "评" * 1366 + "}", "directResponse.body", "a body of 4,098 bytes", "4,096"),
        ("redirect: {uri: /a}\n  directResponse: §{status: 200}", "directResponse", "both redirect and directResponse", ""),
    )),
    # the document
    ("aliases: [§a b]", "aliases[0]", "not a domain name", ""),
    ("aliases: [a, §A]", "aliases[1]", "is given twice", ""),
    ("clients: §[]", "clients", "is empty", ""),
    ("clients: [§grcp]", "clients[0]", "is not known here", "did you mean grpc?"),
    # traffic policies
    *((POLICY + policy, "trafficPolicy." + path, message, hint) for policy, path, message, hint in (
        ("{protocol: §http3}", "protocol", "is not known here", "did you mean http?"),
        ("{tls: §{}}", "tls.mode", "is missing", ""),
        ("{tls: §{mode: MUTUAL}}", "tls", "MUTUAL without a certificate", "clientCertificate"),
        ("{tls: §{mode: SIMPLE, privateKey: /a}}", "tls", "means nothing with mode SIMPLE", "MUTUAL"),
        ("{tls: §{mode: DISABLE, sni: a}}", "tls", "sni means nothing with mode DISABLE", ""),
        ("{tls: {mode: SIMPLE, caCertificates: §ca.pem}}", "tls.caCertificates", "is not the path of a file", ""),
        ("{loadBalancer: §{}}", "loadBalancer", "no load balancer", ""),
        ("{loadBalancer: §{simple: RANDOM, warmup: {duration: 1s}}}", "loadBalancer", "warmup means nothing with RANDOM", ""),
        ("{loadBalancer: §{consistentHash: {useSourceIp: true}, localityLbSetting: {}}}", "loadBalancer", "localityLbSetting means nothing with consistentHash", "all zones"),
        ("{loadBalancer: {consistentHash: §{}}}", "loadBalancer.consistentHash", "nothing to hash", ""),
        ("{connectionPool: §{}}", "connectionPool", "no limit", ""),
        ("{outlierDetection: {§consecutiveErrors: 5}}", "outlierDetection.consecutiveErrors", "unknown field", "did you mean consecutive5xxErrors?"),
        ("{healthCheck: §{path: /a, interval: 1s}}", "healthCheck.timeout", "is missing", ""),
    )),
    # rollouts
    *((ROLLOUT + rollout, "rollout" + path, message, hint) for rollout, path, message, hint in (
        ("{subset: §blue, steps: [{weight: 1}]}", ".subset", 'no subset "blue"', ""),
        ("{subset: §stable, steps: [{weight: 1}]}", ".subset", "is the baseline", ""),
        ("{rule: §q, subset: gray, steps: [{weight: 1}]}", ".rule", 'no rule "q" that splits', "there is r"),
        ("{subset: gray, steps: §[]}", ".steps", "is empty", ""),
        ("§{subset: gray, steps: [{weight: 5}, {weight: 5}]}", "", "step 2 has weight 5, not more", "go up"),
        ("{subset: gray, steps: [{weight: 5, for: §10}]}", ".steps[0].for", "not a duration", ""),
        ("{subset: gray, steps: [{weight: 5}], analysis: {successRate: §{}}}", ".analysis.successRate", "no limit", ""),
        ("{subset: gray, steps: [{weight: 5}], analysis: {webhooks: [{name: a, url: §a.b}]}}", ".analysis.webhooks[0].url", "is not a URL", ""),
    )),
    (RULE + "rollout: §{subset: gray, steps: [{weight: 1}]}", "rollout", "no rule splits", "route"),
]
# fmt: on


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    rule = document(text)
    again = rule.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert RuleDocument.model_validate(again) == rule


@pytest.mark.parametrize(("marked", "path", "message", "hint"), BAD)
def test_bad(marked: str, path: str, message: str, hint: str) -> None:
    expected = Expected(path.removesuffix("."), message, hint)
    assert_problems(marked, expected)


# fmt: off
TIMES = [  # what holds, a time, whether it does, when that changes next
    ("{from: 2026-11-25T10:00, timezone: Asia/Shanghai}", "2026-11-25T01:59:59Z", False, "2026-11-25T02:00:00Z"),
    ("{from: 2026-11-25T10:00, timezone: Asia/Shanghai}", "2026-11-25T02:00:00Z", True, None),
    ("{from: 2026-11-25T10:00+08:00, until: 2027-01-01T00:00Z}", "2026-12-31T23:59:59Z", True, "2027-01-01T00:00:00Z"),
    ("{until: '2026-11-25', timezone: UTC}", "2026-11-25T00:00:00Z", False, None),
    # one night, which begins on Friday
    ("{days: [fri], hours: [22:00-06:00], timezone: Asia/Shanghai}", "2026-11-27T13:59:00Z", False, "2026-11-27T14:00:00Z"),
    ("{days: [fri], hours: [22:00-06:00], timezone: Asia/Shanghai}", "2026-11-27T14:00:00Z", True, "2026-11-27T22:00:00Z"),
    ("{days: [fri], hours: [22:00-06:00], timezone: Asia/Shanghai}", "2026-11-27T22:00:00Z", False, "2026-12-04T14:00:00Z"),
    # hours that touch are one
    ("{hours: [08:00-12:00, 12:00-18:00], timezone: UTC}", "2026-11-27T09:00:00Z", True, "2026-11-27T18:00:00Z"),
    ("{hours: [00:00-24:00], timezone: UTC}", "2026-11-27T09:00:00Z", True, None),
    ("{days: [mon, tue, wed, thu, fri, sat, sun], timezone: UTC}", "2026-11-27T09:00:00Z", True, None),
    ("{days: [sat, sun], timezone: Europe/Berlin}", "2026-11-27T22:59:59Z", False, "2026-11-27T23:00:00Z"),
    ("{days: [sat, sun], timezone: Europe/Berlin}", "2026-11-28T00:00:00Z", True, "2026-11-29T23:00:00Z"),
    # far ahead
    ("{from: '2030-01-01', hours: [10:00-11:00], timezone: UTC}", "2026-11-27T10:30:00Z", False, "2030-01-01T10:00:00Z"),
    ("{from: 2030-01-01T10:30, hours: [10:00-11:00], timezone: UTC}", "2026-11-27T10:30:00Z", False, "2030-01-01T10:30:00Z"),
    # summer time begins at 2:00, which becomes 3:00, and ends at 3:00, which becomes 2:00
    ("{hours: [02:30-04:00], timezone: Europe/Berlin}", "2027-03-28T01:29:59Z", False, "2027-03-28T01:30:00Z"),
    ("{hours: [02:30-04:00], timezone: Europe/Berlin}", "2027-03-28T01:30:00Z", True, "2027-03-28T02:00:00Z"),
    ("{hours: [02:00-02:30], timezone: Europe/Berlin}", "2026-10-25T00:10:00Z", True, "2026-10-25T00:30:00Z"),
    ("{hours: [02:00-02:30], timezone: Europe/Berlin}", "2026-10-25T01:10:00Z", False, "2026-10-26T01:00:00Z"),
]
# fmt: on


@pytest.mark.parametrize(("schedule", "now", "holds", "changes"), TIMES)
def test_schedules(schedule: str, now: str, holds: bool, changes: str | None) -> None:
    match = document(f"{RULE}  match: [{{schedule: {schedule}}}]").http[0].match[0]
    assert isinstance(match.schedule, Schedule)
    moment = datetime.fromisoformat(now)
    assert match.schedule.holds(moment) is holds
    assert match.schedule.next_change(moment) == (changes and datetime.fromisoformat(changes))


def test_a_policy_of_a_subset_replaces_keys_of_the_service() -> None:
    rule = document(
        "trafficPolicy: {protocol: grpc, loadBalancer: {simple: RANDOM}}\nbaseline: a\n"
        "subsets: {a: {labels: {v: a}}, b: {labels: {v: b}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}}"
    )
    balancers = [rule.traffic_policy_of(name).load_balancer for name in (None, "a", "b")]
    assert [one and one.simple for one in balancers] == ["RANDOM", "RANDOM", "ROUND_ROBIN"]
    assert rule.traffic_policy_of("b").protocol == "grpc"


def test_lanes() -> None:
    parsed = parse("lanes.yaml", LANES.encode())
    assert isinstance(parsed.content, LanesDocument), told(parsed.problems)
    assert [lane.baggage for lane in parsed.content.lanes] == ["gray-lane"]
    assert parse("lanes.yaml", b"lanes: []").content == LanesDocument(lanes=())


# fmt: off
BAD_LANES = [
    ("§- name: a", "", "lanes are a mapping, this is a list", "begin with `lanes:`"),
    ("§{}", "lanes", "is missing", ""),
    ("lanes: [§{name: a, subset: b}]", "lanes[0]", "neither header nor baggage", "name the one"),
    ("lanes: [§{name: a, subset: b, header: c, baggage: d}]", "lanes[0]", "both header and baggage", "name the one"),
    ("lanes: [{name: a, subset: b, header: c}, {name: §a, subset: b, header: d}]", "lanes[1].name", "is given twice", ""),
    ("lanes: [{name: a, subset: b, header: c}, {name: d, subset: b, header: §c}]", "lanes[1].header", "is given twice", ""),
    (LANES.replace("[{percentage", "[§{lane: x, percentage"), "lanes[0].enter[0]", "by the mark of a lane", "remove lane"),
    (LANES.replace("[{percentage: {value: 1, header: x-user-id}}]", "[§{}]"), "lanes[0].enter[0]", "is empty", ""),
]
# fmt: on


@pytest.mark.parametrize(("marked", "path", "message", "hint"), BAD_LANES)
def test_bad_lanes(marked: str, path: str, message: str, hint: str) -> None:
    assert_problems(marked, Expected(path, message, hint), document="lanes.yaml")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", ()),
        (b"a\nb\n", ("a", "b")),
        (b"\xef\xbb\xbfa\r\n  b \t\r\n\r\nc", ("a", "b", "c")),
        (b"# users\na # the first\n\tb#2\n#c\nuser name\n", ("a", "b#2", "user name")),
        ("内测\u3000\n".encode(), ("内测",)),
    ],
)
def test_lists(text: bytes, values: tuple[str, ...]) -> None:
    parsed = parse("vip.list", text)
    assert parsed.content == ListDocument(values)
    assert parsed.problems == ()


def test_lanes_have_one_name() -> None:
    assert_problems(
        "§lanes: []", Expected("", "another document", "call it lanes.yaml"), document="lanes.yml"
    )


def test_bad_lists() -> None:
    assert_problems(
        "a\n b\n §a # again",
        Expected("", '"a" is given twice, first at line 1', "remove one"),
        document="v.list",
    )
    assert parse("v.list", b"a\na").content == ListDocument(("a",))
    assert told(parse("v.list", b"a\n\x00").problems).startswith("v.list:2:1: error: the character U+0000")
    values = [f"{count:099}" for count in range(100_001)]
    assert parse("v.list", "\n".join(values[1:]).encode()).content == ListDocument(tuple(values[1:]))
    assert told(parse("v.list", "\n".join(values).encode()).problems) == (
        "v.list:100001:1: error: more than 100,000 values (split it into several lists, or match by percentage)"
    )
    assert "at most 10,485,760 (10 MiB)" in told(parse("v.list", b"#" * (10 << 20) + b"#").problems)
