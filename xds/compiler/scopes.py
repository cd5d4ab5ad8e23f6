"""Scopes: which RouteConfiguration serves a host (SRDS)."""

from envoy_data_plane.envoy.config.route.v3 import (
    ScopedRouteConfiguration,
    ScopedRouteConfigurationKey,
    ScopedRouteConfigurationKeyFragment,
)

from xds.wire import build, encode


def scope(name: str, host: str, route_configuration: str) -> bytes:
    """Encode the scope of one host, which is in lower case, as requests are (``route_sources``)."""
    key = build(
        ScopedRouteConfigurationKey, fragments=[build(ScopedRouteConfigurationKeyFragment, string_key=host)]
    )
    return encode(
        build(ScopedRouteConfiguration, name=name, route_configuration_name=route_configuration, key=key)
    )
