"""A filter that works only on some requests."""

from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.extensions.common.matching.v3 import ExtensionWithMatcher
from envoy_data_plane.envoy.extensions.filters.common.matcher.action.v3 import SkipFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig as XdsTypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherOnMatch,
)

from xds.compiler.matcher_predicates import predicate
from xds.routing.predicates import ALWAYS, Not, Predicate
from xds.wire import any_of


def only_if(when: Predicate, wanted: HttpFilter) -> HttpFilter:
    """Let a filter work only on requests for which a predicate holds."""
    if when == ALWAYS:
        return wanted
    skip = XdsTypedExtensionConfig(name="skip", typed_config=any_of(SkipFilter()))
    entry = MatcherMatcherListFieldMatcher(
        predicate=predicate(Not(when)), on_match=MatcherOnMatch(action=skip)
    )
    extension = TypedExtensionConfig(name=wanted.name, typed_config=wanted.typed_config)
    matching = ExtensionWithMatcher(
        extension_config=extension, xds_matcher=Matcher(matcher_list=MatcherMatcherList(matchers=[entry]))
    )
    return HttpFilter(name=wanted.name, typed_config=any_of(matching))
