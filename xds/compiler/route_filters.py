"""HTTP filters that virtual hosts and routes configure: faults, and what a matcher cannot read by itself.

They do nothing by themselves; what a virtual host or a route configures makes them work. A virtual host's
matcher reads headers and filter state, nothing else. So cookies and query parameters whose
hash decides, and the client's address, are put into filter state, and the route is then looked up again.
"""

from collections.abc import Iterable

from envoy_data_plane.envoy.config.core.v3 import DataSource, SubstitutionFormatString
from envoy_data_plane.envoy.extensions.filters.common.set_filter_state.v3 import FilterStateValue
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import HttpFault
from envoy_data_plane.envoy.extensions.filters.http.header_to_metadata.v3 import Config as HeaderToMetadata
from envoy_data_plane.envoy.extensions.filters.http.header_to_metadata.v3 import (
    ConfigKeyValuePair,
    ConfigRule,
    ConfigValueType,
)
from envoy_data_plane.envoy.extensions.filters.http.set_filter_state.v3 import Config as SetFilterState
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from xds.compiler.faults import FAULT_FILTER
from xds.compiler.metadata import NAMESPACE
from xds.routing.predicates import (
    Cookie,
    FromNetwork,
    Header,
    Identity,
    Percentage,
    Predicate,
    Query,
    SourceAddress,
    leaves,
)
from xds.wire import any_of, build

_METADATA_FILTER = "envoy.filters.http.header_to_metadata"
_STATE_FILTER = "envoy.filters.http.set_filter_state"


def route_filters() -> list[HttpFilter]:
    """Build the filters, for the place before the router.

    Which filters are off is decided by the first route that is found, so that for faults must not be: the
    route may be another one after it was looked up again.
    """
    state = build(SetFilterState, clear_route_cache=True)
    return [
        build(HttpFilter, name=_METADATA_FILTER, typed_config=any_of(HeaderToMetadata()), disabled=True),
        build(HttpFilter, name=_STATE_FILTER, typed_config=any_of(state), disabled=True),
        build(HttpFilter, name=FAULT_FILTER, typed_config=any_of(build(HttpFault))),
    ]


def state_key(identity: Identity) -> str:
    """Return the key of filter state under which a matcher finds an identity; a header it reads by itself."""
    match identity:
        case Cookie(name):
            return f"{NAMESPACE}.cookie.{name}"
        case Query(name):
            return f"{NAMESPACE}.query.{name}"
        case SourceAddress():
            return f"{NAMESPACE}.source"
        case Header():
            raise TypeError(identity)


def state_filters(predicates: Iterable[Predicate]) -> dict[str, Any]:
    """Return the configurations, by name of the filter, by which predicates find their identities."""
    identities = {identity for predicate in predicates for identity in _identities(predicate)}
    if not identities:
        return {}
    cookies = sorted(identity.name for identity in identities if isinstance(identity, Cookie))
    values = {state_key(identity): _format(identity, cookies) for identity in identities}
    state = build(
        SetFilterState,
        on_request_headers=[_state(key, text) for key, text in sorted(values.items())],
        clear_route_cache=True,
    )
    filters = {_STATE_FILTER: any_of(state)}
    if cookies:
        rules = [_cookie_rule(name, str(number)) for number, name in enumerate(cookies)]
        filters[_METADATA_FILTER] = any_of(build(HeaderToMetadata, request_rules=rules))
    return filters


def _identities(predicate: Predicate) -> Iterable[Identity]:
    for leaf in leaves(predicate):
        if isinstance(leaf, FromNetwork):
            yield SourceAddress()
        elif isinstance(leaf, Percentage) and not isinstance(leaf.identity, Header | None):
            yield leaf.identity


def _format(identity: Identity, cookies: list[str]) -> str:
    match identity:
        case Cookie(name):
            return f"%DYNAMIC_METADATA({NAMESPACE}:{cookies.index(name)})%"
        case Query(name):
            return f"%QUERY_PARAM({name})%"
        case _:
            return "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"


def _cookie_rule(cookie: str, key: str) -> ConfigRule:
    value = build(ConfigKeyValuePair, metadata_namespace=NAMESPACE, key=key, type=ConfigValueType.STRING)
    return build(ConfigRule, cookie=cookie, on_header_present=value)


def _state(key: str, text: str) -> FilterStateValue:
    source = build(DataSource, inline_string=text)
    return build(
        FilterStateValue,
        object_key=key,
        factory_key="envoy.string",
        format_string=build(SubstitutionFormatString, text_format_source=source, omit_empty_values=True),
        skip_if_empty=True,
    )
