"""Decisions as the matcher of a virtual host: what needs more than plain routes can say.

Envoy then asks the matcher alone which route a request takes (``VirtualHost.matcher``).
"""

from collections.abc import Iterable

from envoy_data_plane.envoy.config.route.v3 import Route, RouteMatch
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherOnMatch,
)

from xds.compiler.actions import Variant
from xds.compiler.matcher_predicates import predicate
from xds.routing.model import Action, Forward
from xds.routing.predicates import ALWAYS
from xds.wire import any_of


def matcher(variants: Iterable[Variant]) -> Matcher:
    """Build the matcher: the first variant whose predicate holds, up to the one that is for all requests."""
    entries: list[MatcherMatcherListFieldMatcher] = []
    for variant in variants:
        take = _take(variant.route(_own_match(variant.action)))
        if variant.when == ALWAYS:
            matcher_list = MatcherMatcherList(matchers=entries) if entries else None
            return Matcher(matcher_list=matcher_list, on_no_match=take)
        entries.append(MatcherMatcherListFieldMatcher(predicate=predicate(variant.when), on_match=take))
    raise ValueError("no decision is for all requests")


def _own_match(action: Action) -> RouteMatch:
    """Match what gets here: the route's own match is asked as well, and if it fails nothing else is tried.

    What a rewrite replaces is what the route's own match says.
    """
    prefix = action.rewrite.prefix if isinstance(action, Forward) else None
    if prefix is None:
        return RouteMatch(prefix="/")
    return RouteMatch(prefix=prefix, case_sensitive=False)


def _take(route: Route) -> MatcherOnMatch:
    return MatcherOnMatch(action=TypedExtensionConfig(name="route", typed_config=any_of(route)))
