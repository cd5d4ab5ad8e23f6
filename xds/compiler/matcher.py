"""Rules as the matcher of a virtual host: what needs more than plain routes can say.

Envoy then asks the matcher alone which route a request takes (``VirtualHost.matcher``).
"""

from collections.abc import Sequence

from envoy_data_plane.envoy.config.route.v3 import Route, RouteAction
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherOnMatch,
)

from xds.compiler.plain_routes import catch_all
from xds.compiler.predicates import predicate
from xds.rules.model import HttpRule
from xds.wire import any_of


def matcher(rules: Sequence[tuple[HttpRule, RouteAction]], last: Route) -> Matcher:
    """Build the matcher: the first rule that holds decides, ``last`` if none does."""
    entries = []
    for rule, action in rules:
        route = catch_all(rule.name, action)
        holds = predicate(rule.match)
        if holds is None:
            last = route
            break
        entries.append(MatcherMatcherListFieldMatcher(predicate=holds, on_match=_take(route)))
    matcher_list = MatcherMatcherList(matchers=entries) if entries else None
    return Matcher(matcher_list=matcher_list, on_no_match=_take(last))


def _take(route: Route) -> MatcherOnMatch:
    return MatcherOnMatch(action=TypedExtensionConfig(name="route", typed_config=any_of(route)))
