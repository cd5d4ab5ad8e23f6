"""Rules as plain routes: a list that Envoy goes through until one matches.

Plain routes are what operators know to read and what every xDS client understands, so a service has them
unless its rules need more (``matcher``). They say what Envoy has operators for; the only patterns in them
are users' own, since Envoy limits their size.
"""

import math
from collections.abc import Callable, Iterator
from itertools import product

from envoy_data_plane.envoy.config.route.v3 import (
    CookieMatcher,
    HeaderMatcher,
    QueryParameterMatcher,
    Route,
    RouteMatch,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher as EnvoyStringMatcher
from envoy_data_plane.envoy.type.v3 import Int64Range

from xds.compiler.decisions import Decision
from xds.compiler.patterns import ANYTHING, with_case
from xds.rules.model import Match, StringMatcher, UriMatcher
from xds.wire import build

# An `in` becomes a route for each of its values; two in one match, a route for each pair. Longer lists are
# cheaper as one pattern in a matcher.
_MOST_ROUTES = 8


def expressible(match: Match) -> bool:
    """Tell whether plain routes can say this, and mean the same by it as the rule language does."""
    tests = (*match.headers.values(), *match.cookies.values(), *match.query.values())
    lists = [test.values for test in (match.method, *tests) if test and test.in_ and not test.not_]
    return (
        math.prod(map(len, lists)) <= _MOST_ROUTES
        and not (match.uri and match.uri.regex and match.uri.not_)
        and (match.method is None or _header_expressible(match.method))
        and all(map(_header_expressible, match.headers.values()))
        and all(map(_cookie_expressible, match.cookies.values()))
        and all(map(_query_expressible, match.query.values()))
    )


def routes(decision: Decision) -> Iterator[Route]:
    """Build the routes of a decision, at least one per alternative of its match."""
    for match in decision.matches or (Match(),):
        for route_match in _route_matches(match):
            yield decision.route(route_match)


def _header_expressible(test: StringMatcher) -> bool:
    # Turned round, a missing header counts as empty, and a pattern may match emptiness.
    return not (test.regex and test.not_) and len(test.values) <= _MOST_ROUTES


def _cookie_expressible(test: StringMatcher) -> bool:
    return test.range is None and len(test.values) <= _MOST_ROUTES


def _query_expressible(test: StringMatcher) -> bool:
    return test.present is not None or (test.range is None and not test.not_)


_Part = HeaderMatcher | CookieMatcher | QueryParameterMatcher


def _route_matches(match: Match) -> Iterator[RouteMatch]:
    parts: list[list[list[_Part]]] = []
    if match.method is not None:
        parts.append(_alternatives(_header, ":method", match.method))
    for part_of, tests in ((_header, match.headers), (_cookie, match.cookies), (_query, match.query)):
        parts += (_alternatives(part_of, name, test) for name, test in sorted(tests.items()))
    for combination in product(*parts):
        chosen = [part for alternative in combination for part in alternative]
        route_match = build(
            RouteMatch,
            headers=[part for part in chosen if isinstance(part, HeaderMatcher)],
            cookies=[part for part in chosen if isinstance(part, CookieMatcher)],
            query_parameters=[part for part in chosen if isinstance(part, QueryParameterMatcher)],
        )
        _set_path(route_match, match.uri)
        yield route_match


def _alternatives(
    part_of: Callable[[str, StringMatcher], _Part], name: str, test: StringMatcher
) -> list[list[_Part]]:
    """List the ways for a test to hold, each as what must match together."""
    if test.in_ is None:
        return [[part_of(name, test)]]
    values = [test.model_copy(update={"in_": None, "exact": value}) for value in sorted(test.in_)]
    parts = [part_of(name, value) for value in values]
    return [parts] if test.not_ else [[part] for part in parts]


def _set_path(route_match: RouteMatch, uri: UriMatcher | None) -> None:
    if uri is None or uri.not_:
        route_match.prefix = "/"
        route_match.headers += _path_unlike(uri) if uri else []
        return
    route_match.path = uri.exact
    route_match.prefix = uri.prefix
    if uri.regex is not None:
        pattern = with_case(uri.regex, ignore_case=uri.ignore_case)
        route_match.safe_regex = build(RegexMatcher, regex=pattern)
    elif uri.ignore_case:
        route_match.case_sensitive = False


def _path_unlike(uri: UriMatcher) -> list[HeaderMatcher]:
    """Exclude a path by the header that has it, where a query may follow."""
    if uri.prefix is not None:
        tests = [StringMatcher(prefix=uri.prefix, not_=True, ignore_case=uri.ignore_case)]
    else:
        tests = [
            StringMatcher(exact=uri.exact, not_=True, ignore_case=uri.ignore_case),
            StringMatcher(prefix=f"{uri.exact}?", not_=True, ignore_case=uri.ignore_case),
        ]
    return [_header(":path", test) for test in tests]


def _header(name: str, test: StringMatcher) -> HeaderMatcher:
    if test.present is not None:
        return build(HeaderMatcher, name=name, present_match=test.present != test.not_)
    matcher = build(HeaderMatcher, name=name, invert_match=test.not_, treat_missing_header_as_empty=test.not_)
    if test.range is not None:
        matcher.range_match = build(Int64Range, start=test.range.start, end=test.range.end)
    else:
        matcher.string_match = _string(test)
    return matcher


def _cookie(name: str, test: StringMatcher) -> CookieMatcher:
    if test.present is None:
        return build(CookieMatcher, name=name, string_match=_string(test), invert_match=test.not_)
    anything = build(EnvoyStringMatcher, safe_regex=build(RegexMatcher, regex=ANYTHING))
    return build(CookieMatcher, name=name, string_match=anything, invert_match=test.present == test.not_)


def _query(name: str, test: StringMatcher) -> QueryParameterMatcher:
    if test.present is None:
        return build(QueryParameterMatcher, name=name, string_match=_string(test))
    return build(QueryParameterMatcher, name=name, present_match=test.present != test.not_)


def _string(test: StringMatcher) -> EnvoyStringMatcher:
    if test.regex is not None:
        pattern = with_case(test.regex, ignore_case=test.ignore_case)
        return build(EnvoyStringMatcher, safe_regex=build(RegexMatcher, regex=pattern))
    return build(
        EnvoyStringMatcher,
        exact=test.exact,
        prefix=test.prefix,
        suffix=test.suffix,
        contains=test.contains,
        ignore_case=test.ignore_case,
    )
