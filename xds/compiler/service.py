"""The routes of one service: what is decided for it, for Envoy.

They depend on instances only in whether these speak gRPC (``speaks_grpc``), and what does depend on them
(``xds.compiler.upstreams``) never on weights, so a change of one recompiles only that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from envoy_data_plane.envoy.config.route.v3 import FilterConfig, VirtualHost
from envoy_data_plane.google.protobuf import Any

from xds.compiler import plain_routes
from xds.compiler.access_log import measured
from xds.compiler.actions import safe_retries, variants
from xds.compiler.connection_managers import GRPC_WEB_FILTER
from xds.compiler.matcher import matcher
from xds.compiler.names import target_cluster
from xds.compiler.route_filters import state_filters
from xds.routing import Routing
from xds.wire import any_of, build, delimited, encode

_DOMAINS = 2  # VirtualHost.domains
_MATCHER = 21  # VirtualHost.matcher


@dataclass(frozen=True, slots=True)
class ServiceRoutes:
    """A service's share of the resources that come from its rules, encoded.

    ``mesh`` is its VirtualHost without domains, ``edge`` the one under its public hosts, for the proxy
    groups ``gateways``; None if it has no hosts. ``requires`` names the clusters that its routes send to.
    """

    mesh: bytes
    edge: bytes | None
    gateways: frozenset[str]
    requires: frozenset[str]


def compile_routes(routing: Routing, *, grpc_web: bool = False) -> ServiceRoutes:
    """Compile what is decided for a service; with ``grpc_web`` browsers may call it by gRPC-Web."""
    host = _virtual_host(routing, grpc_web=grpc_web)
    return ServiceRoutes(
        mesh=host,
        edge=with_domains(host, routing.hosts) if routing.hosts else None,
        gateways=routing.gateways,
        requires=frozenset(target_cluster(target, routing.baseline) for target in routing.targets()),
    )


def _virtual_host(routing: Routing, *, grpc_web: bool) -> bytes:
    """Encode the virtual host of a service but for its domains."""
    found = list(variants(routing))
    filters = state_filters(variant.when for variant in found)
    if grpc_web:
        filters[GRPC_WEB_FILTER] = _filter_on()
    host = build(
        VirtualHost,
        name=routing.service,
        retry_policy=safe_retries(),
        typed_per_filter_config=filters,
        metadata=measured() if routing.measured else None,
    )
    if all(plain_routes.expressible(variant.when) for variant in found):
        host.routes = [route for variant in found for route in plain_routes.routes(variant)]
        return encode(host)
    return encode(host) + delimited(_MATCHER, matcher(found))


def with_domains(host: bytes, domains: Iterable[str]) -> bytes:
    """Add domains to an encoded virtual host."""
    return host + b"".join(delimited(_DOMAINS, domain.encode()) for domain in domains)


@cache
def _filter_on() -> Any:
    """Turn on a filter that is off in the connection manager."""
    return any_of(build(FilterConfig, config=Any()))
