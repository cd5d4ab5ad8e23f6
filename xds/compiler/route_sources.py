"""Where a listener takes its routes from: the three ways that routes reach a proxy.

- *shared*: one RouteConfiguration with the virtual hosts of all services (RDS). Any host, wildcards too; an
  edit costs Envoy work for all of them.
- *scoped*: one RouteConfiguration per service, found by the host (SRDS). Exact hosts only; an edit costs
  Envoy the one.
- *lazy*: nothing at first; the virtual host and the clusters of a service are fetched when it is first
  called (VHDS, on-demand CDS). Never where strangers choose the host: Envoy keeps every host it asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.http.on_demand.v3 import OnDemand, OnDemandCds
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpFilter,
    Rds,
    ScopedRds,
    ScopedRoutes,
    ScopedRoutesScopeKeyBuilder,
    ScopedRoutesScopeKeyBuilderFragmentBuilder,
    ScopedRoutesScopeKeyBuilderFragmentBuilderHeaderValueExtractor,
)

from xds.compiler.conditional_filter import only_if
from xds.compiler.config_source import ADS
from xds.routing.predicates import Header, Regex, Test
from xds.wire import any_of, build

_ON_DEMAND_TIMEOUT = timedelta(seconds=5)
"""A cluster that has not arrived by then is a 503; the server answers within milliseconds, also that there
is none."""


_LOWER_CASE_HOST = """
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(":authority", headers:get(":authority"):lower())
  handle:clearRouteCache()
end
"""


class RouteMode(StrEnum):
    """How routes reach the proxies of a group."""

    SHARED = "shared"
    SCOPED = "scoped"
    LAZY = "lazy"


@dataclass(frozen=True, slots=True)
class RouteSource:
    """The part of a connection manager that differs: fields of its own, and filters before the router."""

    fields: Mapping[str, Any]
    filters: tuple[HttpFilter, ...] = field(default=())


def routes_name(mode: RouteMode, name: str) -> str:
    """Name what a listener fetches its routes by.

    Shared and lazy ones have different names: a proxy that is switched keeps the old kind until the last
    connection that uses it has ended.
    """
    return f"{name}-on-demand" if mode is RouteMode.LAZY else name


def route_source(mode: RouteMode, name: str) -> RouteSource:
    """Return how a connection manager fetches its routes; ``name`` is what they are for: ``edge``."""
    name = routes_name(mode, name)
    match mode:
        case RouteMode.SHARED:
            return RouteSource({"rds": build(Rds, config_source=ADS, route_config_name=name)})
        case RouteMode.SCOPED:
            return RouteSource({"scoped_routes": _scoped(name)}, (_lower_case_host(),))
        case RouteMode.LAZY:
            on_demand = build(OnDemand, odcds=build(OnDemandCds, source=ADS, timeout=_ON_DEMAND_TIMEOUT))
            filters = (
                build(HttpFilter, name="envoy.filters.http.on_demand", typed_config=any_of(on_demand)),
            )
            return RouteSource({"rds": build(Rds, config_source=ADS, route_config_name=name)}, filters)


def _lower_case_host() -> HttpFilter:
    """Put the host of a request into lower case, as scopes have it: Envoy compares them letter by letter.

    Only requests with a capital in their host pass through it. No other filter may change the host.
    """
    config = any_of(build(Lua, default_source_code=build(DataSource, inline_string=_LOWER_CASE_HOST)))
    lower = build(HttpFilter, name="lower-case-host", typed_config=config)
    return only_if(Test(Header(":authority"), Regex(r".*[A-Z].*")), lower)


def _scoped(name: str) -> ScopedRoutes:
    host = build(
        ScopedRoutesScopeKeyBuilderFragmentBuilder,
        header_value_extractor=build(
            ScopedRoutesScopeKeyBuilderFragmentBuilderHeaderValueExtractor, name=":authority", index=0
        ),
    )
    return build(
        ScopedRoutes,
        name=name,
        scope_key_builder=build(ScopedRoutesScopeKeyBuilder, fragments=[host]),
        rds_config_source=ADS,
        scoped_rds=build(ScopedRds, scoped_rds_config_source=ADS),
    )
