"""Rules as the matcher of a virtual host: what needs more than plain routes can say.

Envoy then asks the matcher alone which route a request takes (``VirtualHost.matcher``).
"""

from collections.abc import Iterable

from envoy_data_plane.envoy.config.route.v3 import RouteMatch
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherOnMatch,
)

from xds.compiler.decisions import Decision
from xds.compiler.predicates import predicate
from xds.wire import any_of


def matcher(decisions: Iterable[Decision]) -> Matcher:
    """Build the matcher: the first decision whose match holds, up to the one that is for all requests."""
    entries: list[MatcherMatcherListFieldMatcher] = []
    for decision in decisions:
        holds = predicate(decision.matches)
        if holds is None:
            matcher_list = MatcherMatcherList(matchers=entries) if entries else None
            return Matcher(matcher_list=matcher_list, on_no_match=_take(decision))
        entries.append(MatcherMatcherListFieldMatcher(predicate=holds, on_match=_take(decision)))
    raise ValueError("no decision is for all requests")


def _take(decision: Decision) -> MatcherOnMatch:
    # The route's own match is asked as well, and if it fails nothing else is tried.
    route = decision.route(RouteMatch(prefix="/"))
    return MatcherOnMatch(action=TypedExtensionConfig(name="route", typed_config=any_of(route)))
