"""What gRPC clients without a proxy cannot do with a document (gRFC A28, A30; what four of them really do).

Most of what such a client does not know it ignores: it would send everybody where a cookie should decide.
So a rule with such a word is refused for these clients when it is written, never found out in production.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import chain

from xds.documents.defect import Defect, Path, printable
from xds.documents.problem import Severity
from xds.rules.model import (
    NO_FALLBACK,
    Destination,
    HttpRule,
    Match,
    RuleDocument,
    StringMatcher,
    TrafficPolicy,
    UriMatcher,
)

RETRY_CONDITIONS = frozenset(
    {"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"}
)
"""The conditions of ``retryOn`` that gRPC clients know (gRFC A44)."""

SHORTEST_TIMEOUT = timedelta(seconds=3)
"""Clients of the C core end a call up to two seconds before its timeout: shorter ones fail at once."""

SMALLEST_STICKY_SHARE = 0.01
"""Of a sticky split: below it the ring of a client is too coarse."""

_MOST_NEGATIONS = 3
_SET_BY_THE_TRANSPORT = frozenset({"user-agent", "content-type", "te", "grpc-timeout"})
_BUCKET = "match a header that an edge sets, such as x-gray-bucket"


def grpc_limits(document: RuleDocument) -> Iterator[Defect]:
    """Yield what gRPC clients cannot do with a valid document, and what they do otherwise (warnings)."""
    for index, rule in enumerate(document.http):
        yield from _rule(rule, ("http", index))
    yield from _policy(document.traffic_policy, ("trafficPolicy",))
    for name, subset in document.subsets.items():
        yield from _policy(subset.traffic_policy, ("subsets", name, "trafficPolicy"))


def _rule(rule: HttpRule, path: Path) -> Iterator[Defect]:
    for number, match in enumerate(rule.match):
        yield from _match(match, (*path, "match", number))
    yield from _split(rule, path)
    yield from _unknown(rule, path)
    if rule.timeout is not None and rule.timeout < SHORTEST_TIMEOUT:
        yield Defect(
            (*path, "timeout"),
            "is too short for gRPC clients: those of the C core end a call up to two seconds early",
            "at least 3s",
        )
    if rule.retries is not None:
        if RETRY_CONDITIONS.isdisjoint(rule.retries.retry_on):
            yield _refused((*path, "retries", "retryOn"), f"one of {', '.join(sorted(RETRY_CONDITIONS))}")
        if rule.retries.per_try_timeout is not None:
            yield _refused((*path, "retries", "perTryTimeout"), "use timeout")


def _unknown(rule: HttpRule, path: Path) -> Iterator[Defect]:
    """Yield the actions that gRPC clients do not know."""
    unknown: Mapping[str, object] = {
        "redirect": rule.redirect,
        "directResponse": rule.direct_response,
        "mirror": rule.mirror,
        "headers": rule.headers,
        "rewrite": rule.rewrite,
    }
    for word, value in unknown.items():
        if value is not None:
            yield _refused((*path, word), "remove it, or write clients: [envoy]")


def _match(match: Match, path: Path) -> Iterator[Defect]:
    unknown: Mapping[str, tuple[object, str]] = {
        "query": (match.query, "gRPC calls have none; match a header"),
        "cookies": (match.cookies, "gRPC clients send none; match a header"),
        "sourceIp": (match.source_ip, "a client does not see its own address"),
        "device": (match.device, "gRPC clients send no such headers"),
    }
    for word, (value, hint) in unknown.items():
        if value:
            yield _refused((*path, word), hint)
    if match.percentage is not None and match.percentage.identities():
        yield _refused((*path, "percentage"), f"{_BUCKET}; or use sticky with weights")
    if match.uri is not None:
        yield from _uri(match.uri, (*path, "uri"))
    if match.method is not None and not _may_be_post(match.method):
        yield Defect(
            (*path, "method"), "never matches: gRPC calls are POST", "remove it", severity=Severity.WARNING
        )
    for name, test in match.headers.items():
        if name in _SET_BY_THE_TRANSPORT or name.endswith("-bin"):
            yield _refused((*path, "headers", name), "gRPC clients do not match on it; use another header")
        if test.regex is not None and r"\C" in test.regex:
            yield _refused((*path, "headers", name, "regex"), r"Go and Java know no \C; write . or [\s\S]")
    if sum(_is_negated(test) for test in match.headers.values()) > _MOST_NEGATIONS:
        yield _refused((*path, "headers"), f"at most {_MOST_NEGATIONS} tests with not")


def _uri(uri: UriMatcher, path: Path) -> Iterator[Defect]:
    if uri.not_:
        yield _refused((*path, "not"), "write the methods that are meant")
    if uri.regex is not None and r"\C" in uri.regex:
        yield _refused((*path, "regex"), r"Go and Java know no \C; write . or [\s\S]")


def _split(rule: HttpRule, path: Path) -> Iterator[Defect]:
    if rule.sticky is None or len(rule.route) < 2:
        return
    words = rule.sticky.identities()
    if words != ["header"]:
        yield _refused((*path, "sticky", words[0]), "gRPC clients hash headers alone")
        return
    if rule.fallback == NO_FALLBACK:
        yield _refused((*path, "fallback"), "a sticky split of a gRPC client always falls back")
    total = sum(destination.weight or 0 for destination in rule.route)
    for number, destination in enumerate(rule.route):
        if _is_too_small(destination, total):
            yield _refused(
                (*path, "route", number, "weight"), "a sticky share has at least 1 percent, or 0; " + _BUCKET
            )


def _is_too_small(destination: Destination, total: int) -> bool:
    return 0 < (destination.weight or 0) < SMALLEST_STICKY_SHARE * total


def _policy(policy: TrafficPolicy | None, path: Path) -> Iterator[Defect]:
    if policy is None:
        return
    if policy.tls is not None and policy.tls.mode != "DISABLE":
        yield _refused((*path, "tls"), "gRPC clients take their credentials from their bootstrap")
    ignored: Mapping[str, object] = {
        "loadBalancer": policy.load_balancer,
        "connectionPool": policy.connection_pool,
        "healthCheck": policy.health_check,
        "outlierDetection": policy.outlier_detection,
    }
    for word, value in ignored.items():
        if value is not None:
            yield Defect(
                (*path, word),
                "has no effect on gRPC clients: they take instances in turn",
                severity=Severity.WARNING,
            )


def _is_negated(test: StringMatcher) -> bool:
    return test.not_ and test.present is None


def _may_be_post(test: StringMatcher) -> bool:
    """Whether a test of the method says nothing that is plainly not POST."""
    named = tuple(chain((test.exact,) if test.exact else (), test.values))
    return not named or ("POST" in named) != test.not_


def _refused(path: Path, hint: str) -> Defect:
    return Defect(path, f"gRPC clients do not know {printable(str(path[-1]))} here", hint, at_key=True)
