"""Predicates in Envoy's generic matcher (xDS ``xds.type.matcher.v3.Matcher``).

Everything that routing has can be said here, and turned round; patterns may be of any size.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from envoy_data_plane.envoy.config.core.v3 import CidrRange
from envoy_data_plane.envoy.extensions.matching.common_inputs.network.v3 import FilterStateInput
from envoy_data_plane.envoy.extensions.matching.input_matchers.consistent_hashing.v3 import ConsistentHashing
from envoy_data_plane.envoy.extensions.matching.input_matchers.ip.v3 import Ip
from envoy_data_plane.envoy.type.matcher.v3 import HttpRequestHeaderMatchInput
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import MatcherMatcherListPredicate as EnvoyPredicate
from envoy_data_plane.xds.type.matcher.v3 import MatcherMatcherListPredicatePredicateList as PredicateList
from envoy_data_plane.xds.type.matcher.v3 import MatcherMatcherListPredicateSinglePredicate as SinglePredicate
from envoy_data_plane.xds.type.matcher.v3 import RegexMatcher, RegexMatcherGoogleRe2
from envoy_data_plane.xds.type.matcher.v3 import StringMatcher as XdsStringMatcher

from xds.compiler import header_parts
from xds.compiler.bounded_regex import confined
from xds.compiler.regex import ANYTHING, alternations, integer_range, with_case
from xds.compiler.route_filters import state_key
from xds.routing.hashing import seed_of
from xds.routing.predicates import (
    And,
    Baggage,
    Contains,
    Cookie,
    Exact,
    FromNetwork,
    Header,
    Identity,
    InRange,
    Method,
    Not,
    OneOf,
    Operator,
    Or,
    Path,
    Percentage,
    Predicate,
    Prefix,
    Present,
    Query,
    Regex,
    SourceAddress,
    Suffix,
    Test,
)
from xds.routing.splits import TOTAL
from xds.wire import any_of

REQUEST_ID = "x-request-id"
"""Envoy makes one for every request; what has no identity is decided by its hash."""


def predicate(holds: Predicate) -> EnvoyPredicate:
    """Build a predicate of the matcher; ``holds`` is ``simplified`` and depends on the request."""
    match holds:
        case And():
            return _all([predicate(part) for part in holds.predicates])
        case Or():
            return _any([predicate(part) for part in holds.predicates])
        case Not():
            return _not(predicate(holds.predicate))
        case Test():
            return _test(holds)
        case FromNetwork(networks):
            return _from_network(networks)
        case Percentage():
            return _percentage(holds)
        case _:
            raise TypeError(holds)


def _test(test: Test) -> EnvoyPredicate:
    match test.source:
        case Path():
            return _path(test.operator)
        case Method():
            return _value(":method", test.operator)
        case Header(name):
            return _value(name, test.operator)
        case Cookie(name):
            return _cookie(name, test.operator)
        case Query(name):
            # Envoy's own input for a parameter would decode it.
            return _any_pattern(header_input(":path"), header_parts.query(name).patterns(test.operator))
        case Baggage(name):
            return _any_pattern(header_input("baggage"), header_parts.baggage(name).patterns(test.operator))


def _from_network(networks: tuple[str, ...]) -> EnvoyPredicate:
    parsed = [ip_network(network, strict=False) for network in networks]
    ranges = [
        CidrRange(address_prefix=str(network.network_address), prefix_len=network.prefixlen)
        for network in parsed
    ]
    matcher = Ip(cidr_ranges=ranges, stat_prefix="source")
    return _single(_state(SourceAddress()), TypedExtensionConfig(name="ip", typed_config=any_of(matcher)))


def _percentage(leaf: Percentage) -> EnvoyPredicate:
    """Let the hash decide; Envoy's matcher holds from its threshold on, so it is turned round.

    Chance is the hash of the request's id, which Envoy makes for every request: a fraction by Envoy's random
    number would not do, since all routes of a request and its split use the same number.
    """
    identity = Header(REQUEST_ID) if leaf.identity is None else leaf.identity
    source = header_input(identity.name) if isinstance(identity, Header) else _state(identity)
    there = _single(source, _regex(ANYTHING))
    if leaf.share >= TOTAL:
        return there
    hashing = ConsistentHashing(threshold=leaf.share, modulo=TOTAL, seed=seed_of(leaf.salt))
    above = _single(source, TypedExtensionConfig(name="hash", typed_config=any_of(hashing)))
    return _all([there, _not(above)])


def _path(operator: Operator) -> EnvoyPredicate:
    """Test the path by the header that has it, where a query may follow."""
    path = header_input(":path")
    match operator:
        case Regex():
            rest = r"(?:\?\C*)?"
            pattern = confined(with_case(operator.pattern, ignore_case=operator.ignore_case), "?")
            return _single(path, _regex(pattern + rest))
        case Prefix(text, ignore_case):
            return _single(path, XdsStringMatcher(prefix=text, ignore_case=ignore_case))
        case Exact(text, ignore_case):
            alone = XdsStringMatcher(exact=text, ignore_case=ignore_case)
            with_query = XdsStringMatcher(prefix=f"{text}?", ignore_case=ignore_case)
            return _any([_single(path, alone), _single(path, with_query)])
        case _:
            raise TypeError(operator)


def _value(name: str, operator: Operator) -> EnvoyPredicate:
    source = header_input(name)
    return _any([_single(source, matcher) for matcher in _strings(operator)])


def _strings(operator: Operator) -> list[XdsStringMatcher]:
    """List what a value may match for an operator to hold."""
    match operator:
        case Present():
            return [_regex(ANYTHING)]
        case OneOf():
            return [
                _regex(pattern) for pattern in alternations(operator.texts, ignore_case=operator.ignore_case)
            ]
        case InRange(start, end):
            return [_regex(integer_range(start, end))]
        case Regex(pattern, ignore_case):
            return [_regex(with_case(pattern, ignore_case=ignore_case))]
        case Exact(text, ignore_case):
            return [XdsStringMatcher(exact=text, ignore_case=ignore_case)]
        case Prefix(text, ignore_case):
            return [XdsStringMatcher(prefix=text, ignore_case=ignore_case)]
        case Suffix(text, ignore_case):
            return [XdsStringMatcher(suffix=text, ignore_case=ignore_case)]
        case Contains(text, ignore_case):
            return [XdsStringMatcher(contains=text, ignore_case=ignore_case)]


def _cookie(name: str, operator: Operator) -> EnvoyPredicate:
    """Test a cookie; quotes around its value are no part of it, as in plain routes."""
    header = header_input("cookie")
    bare, quoted = header_parts.cookie(name), header_parts.quoted_cookie(name)
    holds = _any_pattern(header, bare.patterns(operator))
    if isinstance(operator, Present):
        return holds
    without_quotes = _not(_any_pattern(header, quoted.patterns(Present())))
    return _any([_all([holds, without_quotes]), _any_pattern(header, quoted.patterns(operator))])


def header_input(name: str) -> TypedExtensionConfig:
    """Build the input of a matcher that is the value of a header."""
    return TypedExtensionConfig(name=name, typed_config=any_of(HttpRequestHeaderMatchInput(header_name=name)))


def _state(identity: Identity) -> TypedExtensionConfig:
    key = state_key(identity)
    return TypedExtensionConfig(name=key, typed_config=any_of(FilterStateInput(key=key)))


def _regex(pattern: str) -> XdsStringMatcher:
    return XdsStringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcherGoogleRe2(), regex=pattern))


def _any_pattern(source: TypedExtensionConfig, patterns: Iterable[str]) -> EnvoyPredicate:
    return _any([_single(source, _regex(pattern)) for pattern in patterns])


def _single(source: TypedExtensionConfig, matcher: XdsStringMatcher | TypedExtensionConfig) -> EnvoyPredicate:
    if isinstance(matcher, TypedExtensionConfig):
        return EnvoyPredicate(single_predicate=SinglePredicate(input=source, custom_match=matcher))
    return EnvoyPredicate(single_predicate=SinglePredicate(input=source, value_match=matcher))


def _any(predicates: list[EnvoyPredicate]) -> EnvoyPredicate:
    if len(predicates) == 1:
        return predicates[0]
    return EnvoyPredicate(or_matcher=PredicateList(predicate=predicates))


def _all(predicates: list[EnvoyPredicate]) -> EnvoyPredicate:
    if len(predicates) == 1:
        return predicates[0]
    return EnvoyPredicate(and_matcher=PredicateList(predicate=predicates))


def _not(predicate: EnvoyPredicate) -> EnvoyPredicate:
    return EnvoyPredicate(not_matcher=predicate)
