"""Decisions as plain routes: a list that Envoy goes through until one matches.

Plain routes are what operators know to read and what every xDS client understands, so a service has them
unless its rules need more (``matcher``). They say what Envoy has operators for; the only patterns in them
are users' own, since Envoy limits their size.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
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

from xds.compiler.actions import RouteVariant
from xds.compiler.regex import ANYTHING, with_case
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
from xds.wire import build

# A list becomes a route for each of its texts; two in one alternative, a route for each pair. Longer lists
# are cheaper as one pattern in a matcher.
_MOST_ROUTES = 8


@dataclass(frozen=True, slots=True)
class _Literal:
    """A test, turned round or not."""

    test: Test
    negated: bool


def expressible(when: Predicate) -> bool:
    """Whether plain routes can say this, and mean the same by it; ``when`` is ``simplified``."""
    alternatives = _alternatives(when)
    return alternatives is not None and all(map(_expressible, alternatives))


def routes(variant: RouteVariant) -> Iterator[Route]:
    """Build the routes of a variant, at least one per alternative of its predicate."""
    alternatives = _alternatives(variant.when)
    if alternatives is None:
        raise ValueError("plain routes cannot say this")
    for literals in alternatives:
        for route_match in _route_matches(literals):
            yield variant.route(route_match)


def _alternatives(when: Predicate) -> list[list[_Literal]] | None:
    """Return the alternatives of a disjunction of conjunctions of tests; None if it is something else."""
    parts = when.predicates if isinstance(when, Or) else (when,)
    alternatives = [_literals(part) for part in parts]
    known = [literals for literals in alternatives if literals is not None]
    return known if len(known) == len(alternatives) else None


def _literals(part: Predicate) -> list[_Literal] | None:
    found = []
    for one in part.predicates if isinstance(part, And) else (part,):
        inner = one.predicate if isinstance(one, Not) else one
        if not isinstance(inner, Test):
            return None
        found.append(_Literal(inner, isinstance(one, Not)))
    # One path is all that a route has a place for.
    return found if sum(isinstance(literal.test.source, Path) for literal in found) <= 1 else None


def _expressible(literals: list[_Literal]) -> bool:
    lists = [
        literal.test.operator.texts
        for literal in literals
        if isinstance(literal.test.operator, OneOf) and not literal.negated
    ]
    return math.prod(map(len, lists)) <= _MOST_ROUTES and all(map(_has_operator, literals))


def _has_operator(literal: _Literal) -> bool:
    source, operator = literal.test.source, literal.test.operator
    if isinstance(operator, OneOf) and len(operator.texts) > _MOST_ROUTES:
        return False
    match source:
        case Path() | Method() | Header():
            # Turned round, a missing header counts as empty, and a pattern may match emptiness.
            return not (literal.negated and isinstance(operator, Regex))
        case Cookie():
            return not isinstance(operator, InRange)
        case Query():
            return isinstance(operator, Present) or not (literal.negated or isinstance(operator, InRange))
        case _:
            return False


_Part = HeaderMatcher | CookieMatcher | QueryParameterMatcher


def _route_matches(literals: list[_Literal]) -> Iterator[RouteMatch]:
    path = next((literal for literal in literals if isinstance(literal.test.source, Path)), None)
    parts = [_ways(literal) for literal in literals if literal is not path]
    for combination in product(*parts):
        chosen = [part for way in combination for part in way]
        route_match = build(
            RouteMatch,
            headers=[part for part in chosen if isinstance(part, HeaderMatcher)],
            cookies=[part for part in chosen if isinstance(part, CookieMatcher)],
            query_parameters=[part for part in chosen if isinstance(part, QueryParameterMatcher)],
        )
        _set_path(route_match, path)
        yield route_match


def _ways(literal: _Literal) -> list[list[_Part]]:
    """List the ways for a test to hold, each as what must match together."""
    test = literal.test
    if not isinstance(test.operator, OneOf):
        return [[_part(literal)]]
    texts = [Exact(text, test.operator.ignore_case) for text in test.operator.texts]
    parts = [_part(_Literal(Test(test.source, exact), literal.negated)) for exact in texts]
    return [parts] if literal.negated else [[part] for part in parts]


def _part(literal: _Literal) -> _Part:
    operator, negated = literal.test.operator, literal.negated
    match literal.test.source:
        case Method():
            return _header(":method", operator, negated=negated)
        case Header(name):
            return _header(name, operator, negated=negated)
        case Cookie(name):
            return _cookie(name, operator, negated=negated)
        case Query(name):
            return _query(name, operator, negated=negated)
        case source:
            raise TypeError(source)


def _set_path(route_match: RouteMatch, literal: _Literal | None) -> None:
    if literal is None or literal.negated:
        route_match.prefix = "/"
        route_match.headers += _path_unlike(literal.test.operator) if literal else []
        return
    match literal.test.operator:
        case Exact(text, ignore_case):
            route_match.path = text
        case Prefix(text, ignore_case):
            route_match.prefix = text
        case Regex(pattern, ignore_case):
            regex = with_case(pattern, ignore_case=ignore_case)
            route_match.safe_regex = build(RegexMatcher, regex=regex)
            return
        case operator:
            raise TypeError(operator)
    if ignore_case:
        route_match.case_sensitive = False


def _path_unlike(operator: Operator) -> list[HeaderMatcher]:
    """Exclude a path by the header that has it, where a query may follow."""
    match operator:
        case Prefix():
            excluded: list[Operator] = [operator]
        case Exact(text, ignore_case):
            excluded = [operator, Prefix(f"{text}?", ignore_case)]
        case _:
            raise TypeError(operator)
    return [_header(":path", one, negated=True) for one in excluded]


def _header(name: str, operator: Operator, *, negated: bool) -> HeaderMatcher:
    if isinstance(operator, Present):
        return build(HeaderMatcher, name=name, present_match=not negated)
    matcher = build(HeaderMatcher, name=name, invert_match=negated, treat_missing_header_as_empty=negated)
    if isinstance(operator, InRange):
        matcher.range_match = build(Int64Range, start=operator.start, end=operator.end)
    else:
        matcher.string_match = _string(operator)
    return matcher


def _cookie(name: str, operator: Operator, *, negated: bool) -> CookieMatcher:
    if isinstance(operator, Present):
        anything = build(EnvoyStringMatcher, safe_regex=build(RegexMatcher, regex=ANYTHING))
        return build(CookieMatcher, name=name, string_match=anything, invert_match=negated)
    return build(CookieMatcher, name=name, string_match=_string(operator), invert_match=negated)


def _query(name: str, operator: Operator, *, negated: bool) -> QueryParameterMatcher:
    if isinstance(operator, Present):
        return build(QueryParameterMatcher, name=name, present_match=not negated)
    return build(QueryParameterMatcher, name=name, string_match=_string(operator))


def _string(operator: Operator) -> EnvoyStringMatcher:
    match operator:
        case Regex(pattern, ignore_case):
            regex = with_case(pattern, ignore_case=ignore_case)
            return build(EnvoyStringMatcher, safe_regex=build(RegexMatcher, regex=regex))
        case Exact(text, ignore_case):
            return build(EnvoyStringMatcher, exact=text, ignore_case=ignore_case)
        case Prefix(text, ignore_case):
            return build(EnvoyStringMatcher, prefix=text, ignore_case=ignore_case)
        case Suffix(text, ignore_case):
            return build(EnvoyStringMatcher, suffix=text, ignore_case=ignore_case)
        case Contains(text, ignore_case):
            return build(EnvoyStringMatcher, contains=text, ignore_case=ignore_case)
        case _:
            raise TypeError(operator)
