"""Predicates in Envoy's generic matcher (xDS ``xds.type.matcher.v3.Matcher``).

Everything that routing has can be said here, and turned round; patterns may be of any size.
"""

from collections.abc import Iterable

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
from xds.routing.predicates import (
    And,
    Contains,
    Cookie,
    Exact,
    Header,
    InRange,
    Method,
    Not,
    OneOf,
    Operator,
    Or,
    Path,
    Predicate,
    Prefix,
    Present,
    Query,
    Regex,
    Suffix,
    Test,
)
from xds.wire import any_of


def predicate(holds: Predicate) -> EnvoyPredicate:
    """Build a predicate of the matcher; ``holds`` is `simplified` and depends on the request."""
    match holds:
        case And():
            return _all([predicate(part) for part in holds.predicates])
        case Or():
            return _any([predicate(part) for part in holds.predicates])
        case Not():
            return _not(predicate(holds.predicate))
        case Test():
            return _test(holds)
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
            return _any_pattern(_header(":path"), header_parts.query(name).patterns(test.operator))
        case _:
            raise TypeError(test)


def _path(operator: Operator) -> EnvoyPredicate:
    """Test the path by the header that has it, where a query may follow."""
    path = _header(":path")
    match operator:
        case Regex():
            rest = r"(?:\?\C*)?"
            pattern = confined(with_case(operator.pattern, ignore_case=operator.ignore_case), "?", rest)
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
    source = _header(name)
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
    header = _header("cookie")
    bare, quoted = header_parts.cookie(name), header_parts.quoted_cookie(name)
    holds = _any_pattern(header, bare.patterns(operator))
    if isinstance(operator, Present):
        return holds
    without_quotes = _not(_any_pattern(header, quoted.patterns(Present())))
    return _any([_all([holds, without_quotes]), _any_pattern(header, quoted.patterns(operator))])


def _header(name: str) -> TypedExtensionConfig:
    return TypedExtensionConfig(name=name, typed_config=any_of(HttpRequestHeaderMatchInput(header_name=name)))


def _regex(pattern: str) -> XdsStringMatcher:
    return XdsStringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcherGoogleRe2(), regex=pattern))


def _any_pattern(source: TypedExtensionConfig, patterns: Iterable[str]) -> EnvoyPredicate:
    return _any([_single(source, _regex(pattern)) for pattern in patterns])


def _single(source: TypedExtensionConfig, matcher: XdsStringMatcher) -> EnvoyPredicate:
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
