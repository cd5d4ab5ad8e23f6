"""Rules' matches as predicates of Envoy's generic matcher (xDS ``xds.type.matcher.v3.Matcher``).

Everything the rule language has can be said here, and turned round; patterns may be of any size. Envoy shows
a header that was sent on several lines joined by commas, where plain routes are shown each line.
"""

from collections.abc import Iterable, Sequence

from envoy_data_plane.envoy.type.matcher.v3 import HttpRequestHeaderMatchInput
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import MatcherMatcherListPredicate as Predicate
from envoy_data_plane.xds.type.matcher.v3 import MatcherMatcherListPredicatePredicateList as PredicateList
from envoy_data_plane.xds.type.matcher.v3 import MatcherMatcherListPredicateSinglePredicate as SinglePredicate
from envoy_data_plane.xds.type.matcher.v3 import RegexMatcher, RegexMatcherGoogleRe2
from envoy_data_plane.xds.type.matcher.v3 import StringMatcher as XdsStringMatcher

from xds.compiler import parts
from xds.compiler.confine import confined
from xds.compiler.patterns import ANYTHING, alternations, integer_range, with_case
from xds.rules.model import Match, StringMatcher, UriMatcher
from xds.wire import any_of


def predicate(matches: Sequence[Match]) -> Predicate | None:
    """Build what holds if any of the matches does; None if every request matches."""
    alternatives = [_conditions(match) for match in matches]
    if not alternatives or not all(alternatives):
        return None
    return _any([_all(conditions) for conditions in alternatives])


def _conditions(match: Match) -> list[Predicate]:
    conditions = [_path(match.uri)] if match.uri else []
    if match.method is not None:
        conditions.append(_value(":method", match.method))
    conditions += (_value(name, test) for name, test in sorted(match.headers.items()))
    conditions += (_cookie(name, test) for name, test in sorted(match.cookies.items()))
    conditions += (_query(name, test) for name, test in sorted(match.query.items()))
    return conditions


def _path(uri: UriMatcher) -> Predicate:
    """Test the path by the header that has it, where a query may follow."""
    path = _header(":path")
    if uri.regex is not None:
        rest = r"(?:\?\C*)?"
        pattern = confined(with_case(uri.regex, ignore_case=uri.ignore_case), "?", rest) + rest
        holds = _single(path, _regex(pattern))
    elif uri.prefix is not None:
        holds = _single(path, XdsStringMatcher(prefix=uri.prefix, ignore_case=uri.ignore_case))
    else:
        alone = XdsStringMatcher(exact=uri.exact, ignore_case=uri.ignore_case)
        with_query = XdsStringMatcher(prefix=f"{uri.exact}?", ignore_case=uri.ignore_case)
        holds = _any([_single(path, alone), _single(path, with_query)])
    return _not(holds) if uri.not_ else holds


def _value(name: str, test: StringMatcher) -> Predicate:
    """Test a header; one that is missing passes no test, and therefore every test turned round."""
    source = _header(name)
    holds = _any([_single(source, matcher) for matcher in _strings(test)])
    return holds if _wanted(test) else _not(holds)


def _strings(test: StringMatcher) -> list[XdsStringMatcher]:
    """List what a value may match for the operator of a test to hold."""
    if test.present is not None:
        return [_regex(ANYTHING)]
    if test.in_ is not None:
        return [_regex(pattern) for pattern in alternations(test.values, ignore_case=test.ignore_case)]
    if test.range is not None:
        return [_regex(integer_range(test.range))]
    if test.regex is not None:
        return [_regex(with_case(test.regex, ignore_case=test.ignore_case))]
    return [
        XdsStringMatcher(
            exact=test.exact,
            prefix=test.prefix,
            suffix=test.suffix,
            contains=test.contains,
            ignore_case=test.ignore_case,
        )
    ]


def _cookie(name: str, test: StringMatcher) -> Predicate:
    """Test a cookie; quotes around its value are no part of it, as in plain routes."""
    header = _header("cookie")
    bare, quoted = parts.cookie(name), parts.quoted_cookie(name)
    holds = _any_pattern(header, bare.patterns(test))
    if test.present is None:
        without_quotes = _not(_any_pattern(header, quoted.patterns(StringMatcher(present=True))))
        within_quotes = _any_pattern(header, quoted.patterns(test))
        holds = _any([_all([holds, without_quotes]), within_quotes])
    return holds if _wanted(test) else _not(holds)


def _query(name: str, test: StringMatcher) -> Predicate:
    """Test a query parameter as it was sent, as plain routes do; Envoy's input for one would decode it."""
    holds = _any_pattern(_header(":path"), parts.query(name).patterns(test))
    return holds if _wanted(test) else _not(holds)


def _wanted(test: StringMatcher) -> bool:
    """Tell whether the test holds when its operator does; ``present: false`` is a negation, too."""
    return (test.present is not False) != test.not_


def _header(name: str) -> TypedExtensionConfig:
    return TypedExtensionConfig(name=name, typed_config=any_of(HttpRequestHeaderMatchInput(header_name=name)))


def _regex(pattern: str) -> XdsStringMatcher:
    return XdsStringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcherGoogleRe2(), regex=pattern))


def _any_pattern(source: TypedExtensionConfig, patterns: Iterable[str]) -> Predicate:
    return _any([_single(source, _regex(pattern)) for pattern in patterns])


def _single(source: TypedExtensionConfig, matcher: XdsStringMatcher) -> Predicate:
    return Predicate(single_predicate=SinglePredicate(input=source, value_match=matcher))


def _any(predicates: list[Predicate]) -> Predicate:
    return (
        predicates[0] if len(predicates) == 1 else Predicate(or_matcher=PredicateList(predicate=predicates))
    )


def _all(predicates: list[Predicate]) -> Predicate:
    return (
        predicates[0] if len(predicates) == 1 else Predicate(and_matcher=PredicateList(predicate=predicates))
    )


def _not(predicate: Predicate) -> Predicate:
    return Predicate(not_matcher=predicate)
