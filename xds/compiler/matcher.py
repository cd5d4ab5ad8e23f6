"""Decisions as the matcher of a virtual host: what needs more than plain routes can say.

Envoy then asks the matcher alone which route a request takes (``VirtualHost.matcher``). It is a list of
entries, of which the first whose predicate holds and that leads to a route decides. A long list of values of
a header becomes a map, which costs a request the same for ten values and for a hundred thousand; as a
pattern, 100,000 values would cost a third of all that a request costs. The map has the route once for each
value, so the matcher is put together from encoded fields.
"""

from collections.abc import Iterable, Iterator

from envoy_data_plane.envoy.config.route.v3 import RouteMatch
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import MatcherOnMatch

from xds.compiler.actions import RouteVariant
from xds.compiler.matcher_predicates import header_input, predicate
from xds.routing.model import Action, Forward
from xds.routing.predicates import (
    ALWAYS,
    And,
    Header,
    OneOf,
    Or,
    Predicate,
    Present,
    Test,
    conjunction,
)
from xds.wire import any_of, delimited, encode

# xds/type/matcher/v3/matcher.proto
_MATCHER_LIST, _MATCHER_TREE, _ON_NO_MATCH = 1, 2, 3  # Matcher
_MATCHERS = 1  # Matcher.MatcherList
_PREDICATE, _ON_MATCH = 1, 2  # Matcher.MatcherList.FieldMatcher
_NESTED = 1  # Matcher.OnMatch.matcher
_INPUT, _EXACT_MATCH_MAP = 1, 2  # Matcher.MatcherTree
_MAP = 1  # Matcher.MatcherTree.MatchMap
_KEY, _VALUE = 1, 2

_FEW = 500
"""So many values are about as cheap as a pattern, and much smaller."""


def matcher(variants: Iterable[RouteVariant]) -> bytes:
    """Encode the matcher: the first variant whose predicate holds, up to the one that is for all requests."""
    entries: list[bytes] = []
    for variant in variants:
        take = _take(variant)
        if variant.when == ALWAYS:
            matchers = b"".join(delimited(_MATCHERS, entry) for entry in entries)
            listed = delimited(_MATCHER_LIST, matchers) if entries else b""
            return listed + delimited(_ON_NO_MATCH, take)
        entries += (_entry(part, take) for part in _parts(variant.when))
    raise ValueError("no decision is for all requests")


def _parts(when: Predicate) -> Iterator[Predicate]:
    """Yield the alternatives of a predicate one by one if one of them has a map, else all in one."""
    if isinstance(when, Or) and any(_long_list(part) for part in when.predicates):
        yield from when.predicates
    else:
        yield when


def _entry(when: Predicate, take: bytes) -> bytes:
    test = _long_list(when)
    if test is None:
        return delimited(_PREDICATE, encode(predicate(when))) + delimited(_ON_MATCH, take)
    parts = when.predicates if isinstance(when, And) else (when,)
    others = tuple(part for part in parts if part is not test)
    # A value that is not in the map leads to no route, and Envoy goes on to the next entry.
    condition = conjunction(others) if others else Test(test.source, Present())
    nested = delimited(_NESTED, delimited(_MATCHER_TREE, _map(test, take)))
    return delimited(_PREDICATE, encode(predicate(condition))) + delimited(_ON_MATCH, nested)


def _long_list(when: Predicate) -> Test | None:
    """Return a test of a conjunction that a map can stand for, if there is one."""
    for part in when.predicates if isinstance(when, And) else (when,):
        if isinstance(part, Test) and isinstance(part.source, Header) and isinstance(part.operator, OneOf):
            operator = part.operator
            if len(operator.texts) > _FEW and not operator.ignore_case:
                return part
    return None


def _map(test: Test, take: bytes) -> bytes:
    if not (isinstance(test.source, Header) and isinstance(test.operator, OneOf)):
        raise TypeError(test)
    value = delimited(_VALUE, take)
    entries = (delimited(_MAP, delimited(_KEY, text.encode()) + value) for text in test.operator.texts)
    source = encode(header_input(test.source.name))
    return delimited(_INPUT, source) + delimited(_EXACT_MATCH_MAP, b"".join(entries))


def _take(variant: RouteVariant) -> bytes:
    route = variant.route(_own_match(variant.action))
    action = TypedExtensionConfig(name="route", typed_config=any_of(route))
    return encode(MatcherOnMatch(action=action))


def _own_match(action: Action) -> RouteMatch:
    """Match what gets here: the route's own match is asked as well, and if it fails nothing else is tried.

    What a rewrite replaces is what the route's own match says.
    """
    prefix = action.rewrite.prefix if isinstance(action, Forward) else None
    if prefix is None:
        return RouteMatch(prefix="/")
    return RouteMatch(prefix=prefix, case_sensitive=False)
