"""Rules as a list of plain routes."""

from collections.abc import Iterator

from envoy_data_plane.envoy.config.route.v3 import (
    CookieMatcher,
    HeaderMatcher,
    QueryParameterMatcher,
    Route,
    RouteAction,
    RouteMatch,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher as EnvoyStringMatcher
from envoy_data_plane.envoy.type.v3 import Int64Range

from xds.compiler.patterns import ANYTHING, integer_range, literals
from xds.rules.model import HttpRule, Match, StringMatcher, UriMatcher


def routes(rule: HttpRule, action: RouteAction) -> Iterator[Route]:
    """Build one route per alternative of the rule's match, all named like the rule."""
    for match in rule.match or (Match(),):
        yield Route(name=rule.name, match=_route_match(match), route=action)


def catch_all(name: str, action: RouteAction) -> Route:
    """Build the route that takes every request."""
    return Route(name=name, match=RouteMatch(prefix="/"), route=action)


def _route_match(match: Match) -> RouteMatch:
    headers = [_header(name, test) for name, test in sorted(match.headers.items())]
    if match.method is not None:
        headers.insert(0, _header(":method", match.method))
    route_match = RouteMatch(
        headers=headers,
        cookies=[_cookie(name, test) for name, test in sorted(match.cookies.items())],
        query_parameters=[_query(name, test) for name, test in sorted(match.query.items())],
    )
    _set_path(route_match, match.uri)
    return route_match


def _set_path(route_match: RouteMatch, uri: UriMatcher | None) -> None:
    if uri is None:
        route_match.prefix = "/"
        return
    if uri.exact is not None:
        route_match.path = uri.exact
    elif uri.prefix is not None:
        route_match.prefix = uri.prefix
    elif uri.regex is not None:
        route_match.safe_regex = RegexMatcher(regex=f"(?i:{uri.regex})" if uri.ignore_case else uri.regex)
    if uri.ignore_case:
        route_match.case_sensitive = False


def _header(name: str, test: StringMatcher) -> HeaderMatcher:
    if test.present is not None:
        return HeaderMatcher(name=name, present_match=test.present != test.not_)
    if test.range is not None:
        bounds = Int64Range(start=test.range.start, end=test.range.end)
        return HeaderMatcher(
            name=name, range_match=bounds, invert_match=test.not_, treat_missing_header_as_empty=test.not_
        )
    return HeaderMatcher(
        name=name,
        string_match=_string(test),
        invert_match=test.not_,
        treat_missing_header_as_empty=test.not_,
    )


def _cookie(name: str, test: StringMatcher) -> CookieMatcher:
    if test.present is not None:
        anything = EnvoyStringMatcher(safe_regex=RegexMatcher(regex=ANYTHING))
        return CookieMatcher(name=name, string_match=anything, invert_match=test.present == test.not_)
    return CookieMatcher(name=name, string_match=_string(test), invert_match=test.not_)


def _query(name: str, test: StringMatcher) -> QueryParameterMatcher:
    if test.present is not None:
        return QueryParameterMatcher(name=name, present_match=test.present != test.not_)
    return QueryParameterMatcher(name=name, string_match=_string(test))


def _string(test: StringMatcher) -> EnvoyStringMatcher:
    for operator in ("exact", "prefix", "suffix", "contains"):
        value = getattr(test, operator)
        if value is not None:
            return EnvoyStringMatcher(ignore_case=test.ignore_case, **{operator: value})
    if test.in_ is not None:
        regex = literals(test.in_, ignore_case=test.ignore_case)
    elif test.range is not None:
        regex = integer_range(test.range)
    else:
        regex = f"(?i:{test.regex})" if test.ignore_case else test.regex or ""
    return EnvoyStringMatcher(safe_regex=RegexMatcher(regex=regex))
