"""Predicates as the matches of routes that gRPC clients understand (gRFC A28).

A route matches by path, headers and chance, all of which must hold: an *or* becomes several routes. Names of
headers are in lower case, and every regular expression is in a group of its own (one client compiles
``^a|b$``). What an absent header means is said by a route of its own: clients differ in what an inverted
match says of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import re2
from envoy_data_plane.envoy.config.core.v3 import RuntimeFractionalPercent
from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher, RouteMatch
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher

from xds.compiler.faults import millionths
from xds.compiler.regex import alternations, integer_range
from xds.compiler.regex import literal as literal_text
from xds.routing.predicates import (
    And,
    Baggage,
    Constant,
    Contains,
    Exact,
    Header,
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
    Regex,
    Suffix,
    Test,
    simplified,
)
from xds.routing.splits import TOTAL
from xds.wire import build

_METHOD = "POST"
"""The method of every gRPC call."""

_ANYTHING = "(?s).*"
"""Also an empty value, which a match by presence misses in one client."""


class UnsupportedError(ValueError):
    """A gRPC client cannot do this; ``xds.rules.grpc_limits`` says so to the author of the document."""


@dataclass(frozen=True, slots=True)
class _Literal:
    """A test that must hold, or must not."""

    test: Test | Percentage
    negated: bool = False


def route_matches(predicate: Predicate) -> Iterator[RouteMatch]:
    """Yield the matches of which one holds if the predicate does; none for one that never holds.

    Raise ``UnsupportedError`` for what gRPC clients cannot test.
    """
    for literals in _alternatives(_for_post(simplified(predicate))):
        headers: list[list[list[HeaderMatcher]]] = []
        others: list[_Literal] = []
        for literal in literals:
            match literal.test:
                case Test(Header(name), operator):
                    headers.append(_header_matchers(name, _string_matches(operator), literal))
                case Test(Baggage(key), Exact(text, False)):
                    headers.append(_header_matchers("baggage", [_regex(_member(key, text))], literal))
                case _:
                    others.append(literal)
        for chosen in product(*headers):
            route_match = build(RouteMatch, prefix="", headers=[each for some in chosen for each in some])
            for literal in others:
                _restrict(route_match, literal)
            yield route_match


def _for_post(predicate: Predicate) -> Predicate:
    """Decide the tests of the method: every gRPC call is a POST."""
    match predicate:
        case Test(source=Method(), operator=operator):
            return simplified(Constant(_holds_for_post(operator)))
        case Not(inner):
            return simplified(Not(_for_post(inner)))
        case And(parts):
            return simplified(And(tuple(map(_for_post, parts))))
        case Or(parts):
            return simplified(Or(tuple(map(_for_post, parts))))
        case _:
            return predicate


def _holds_for_post(operator: Operator) -> bool:
    match operator:
        case Exact(text, ignore_case):
            return _folded(text, ignore_case=ignore_case) == _METHOD
        case Prefix(text, ignore_case):
            return _METHOD.startswith(_folded(text, ignore_case=ignore_case))
        case Suffix(text, ignore_case):
            return _METHOD.endswith(_folded(text, ignore_case=ignore_case))
        case Contains(text, ignore_case):
            return _folded(text, ignore_case=ignore_case) in _METHOD
        case OneOf(texts, ignore_case):
            return _METHOD in {_folded(text, ignore_case=ignore_case) for text in texts}
        case Regex(pattern, ignore_case):
            return re2.fullmatch(_grouped(pattern, ignore_case=ignore_case), _METHOD) is not None
        case _:
            return isinstance(operator, Present)


def _folded(text: str, *, ignore_case: bool) -> str:
    return text.upper() if ignore_case else text


def _alternatives(predicate: Predicate, *, negated: bool = False) -> list[list[_Literal]]:
    """Return the ways for a predicate to hold, each as tests that hold together (disjunctive normal form)."""
    match predicate:
        case Test() | Percentage():
            return [[_Literal(predicate, negated)]]
        case Not(inner):
            return _alternatives(inner, negated=not negated)
        case And(parts) | Or(parts):
            ways = [_alternatives(part, negated=negated) for part in parts]
            if isinstance(predicate, And) != negated:
                return [[one for part in way for one in part] for way in product(*ways)]
            return [way for part in ways for way in part]
        case _:
            raise UnsupportedError(f"a gRPC client cannot test {predicate}")


def _restrict(match: RouteMatch, literal: _Literal) -> None:
    """Add a test of the path, or of chance, to a match."""
    match literal.test:
        case Test(source=Path(), operator=operator) if not literal.negated:
            _set_path(match, operator)
        case Percentage(identity=None, share=share):
            chance = TOTAL - share if literal.negated else share
            match.runtime_fraction = build(RuntimeFractionalPercent, default_value=millionths(chance))
        case _:
            raise UnsupportedError(f"a gRPC client cannot test {literal}")


def _set_path(match: RouteMatch, operator: Operator) -> None:
    match.prefix = None
    match operator:
        case Exact(text, ignore_case):
            match.path = text
            match.case_sensitive = False if ignore_case else None
        case Prefix(text, ignore_case):
            match.prefix = text
            match.case_sensitive = False if ignore_case else None
        case Regex(pattern, ignore_case):
            match.safe_regex = build(RegexMatcher, regex=_grouped(pattern, ignore_case=ignore_case))
        case _:
            raise UnsupportedError(f"a gRPC client cannot test a path for {operator}")


def _header_matchers(
    name: str, string_matches: Sequence[StringMatcher], literal: _Literal
) -> list[list[HeaderMatcher]]:
    """Return the ways for a test of a header to hold, each as matchers that hold together.

    ``string_matches`` are what its value may match for the operator to hold, one of them.
    """
    absent = build(HeaderMatcher, name=name, present_match=True, invert_match=True)
    if literal.negated and isinstance(literal.test, Test) and isinstance(literal.test.operator, Present):
        return [[absent]]
    matchers = [
        build(HeaderMatcher, name=name, string_match=string_match, invert_match=literal.negated)
        for string_match in string_matches
    ]
    return [matchers, [absent]] if literal.negated else [[matcher] for matcher in matchers]


def _member(key: str, value: str) -> str:
    """Match a header ``baggage`` (W3C Baggage) that has a member of this key and value."""
    space = "[ \\t]*"
    member = f"{space}{literal_text(key)}{space}={space}{literal_text(value)}{space}"
    return f"(?s)(?:.*,)?{member}(?:[;,].*)?"


def _string_matches(operator: Operator) -> Sequence[StringMatcher]:
    """Return what a value may match for an operator to hold, one of them."""
    match operator:
        case Exact(text, ignore_case):
            return [build(StringMatcher, exact=text, ignore_case=ignore_case)]
        case Prefix(text, ignore_case):
            return [build(StringMatcher, prefix=text, ignore_case=ignore_case)]
        case Suffix(text, ignore_case):
            return [build(StringMatcher, suffix=text, ignore_case=ignore_case)]
        case Contains(text, ignore_case):
            return [build(StringMatcher, contains=text, ignore_case=ignore_case)]
        case Regex(pattern, ignore_case):
            return [_regex(_grouped(pattern, ignore_case=ignore_case))]
        case OneOf(texts, ignore_case):
            return [_regex(_grouped(pattern)) for pattern in alternations(texts, ignore_case=ignore_case)]
        case InRange():
            return [_regex(_grouped(integer_range(operator.start, operator.end)))]
        case Present():
            return [_regex(_ANYTHING)]


def _grouped(pattern: str, *, ignore_case: bool = False) -> str:
    return f"(?i:{pattern})" if ignore_case else f"(?:{pattern})"


def _regex(pattern: str) -> StringMatcher:
    return build(StringMatcher, safe_regex=build(RegexMatcher, regex=pattern))
