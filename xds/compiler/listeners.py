"""Listeners: where a proxy takes requests, and which connection manager treats them."""

from dataclasses import dataclass, field
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import Address, SocketAddress, TrafficDirection
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)

from xds.compiler.connection_managers import (
    EscapedSlashes,
    HttpSettings,
    edge_manager,
    inbound_manager,
    outbound_manager,
)
from xds.compiler.names import INBOUND
from xds.compiler.route_sources import RouteMode, RouteSource
from xds.wire import any_of, build, encode

_BUFFER_LIMIT = 32 * 1024


@dataclass(frozen=True, slots=True)
class EdgeListener:
    """What an operator sets of the one listener of an edge proxy.

    ``trusted_hops`` is how many proxies in front of it are believed in ``x-forwarded-for``.
    """

    address: str
    port: int
    routes: RouteMode = RouteMode.SHARED
    trusted_hops: int = 0
    http: HttpSettings = field(default_factory=lambda: HttpSettings(escaped_slashes=EscapedSlashes.REDIRECT))


@dataclass(frozen=True, slots=True)
class SidecarListeners:
    """What an operator sets of the two listeners of a sidecar."""

    address: str
    outbound_port: int
    inbound_port: int
    routes: RouteMode = RouteMode.SHARED
    http: HttpSettings = field(default_factory=HttpSettings)


def edge_listener(name: str, at: EdgeListener, routes: RouteSource) -> bytes:
    """Encode the listener of an edge proxy, which strangers can reach."""
    manager = edge_manager(at.http, at.trusted_hops, routes)
    return _listener(name, at.address, at.port, manager, TrafficDirection.INBOUND)


def outbound_listener(name: str, at: SidecarListeners, routes: RouteSource) -> bytes:
    """Encode the listener of a sidecar by which its application calls other services."""
    manager = outbound_manager(at.http, routes)
    return _listener(name, at.address, at.outbound_port, manager, TrafficDirection.OUTBOUND)


def inbound_listener(name: str, at: SidecarListeners) -> bytes:
    """Encode the listener of a sidecar by which others call its application, whatever the host.

    Requests go to the cluster ``inbound`` (``clusters.inbound_cluster``).
    """
    route = build(
        Route,
        name=INBOUND,
        match=build(RouteMatch, prefix="/"),
        route=build(RouteAction, cluster=INBOUND, timeout=timedelta(0)),
    )
    application = build(
        RouteConfiguration,
        name=INBOUND,
        virtual_hosts=[build(VirtualHost, name=INBOUND, domains=["*"], routes=[route])],
    )
    manager = inbound_manager(at.http, RouteSource({"route_config": application}))
    return _listener(name, at.address, at.inbound_port, manager, TrafficDirection.INBOUND)


def _listener(
    name: str, address: str, port: int, manager: HttpConnectionManager, direction: TrafficDirection
) -> bytes:
    http = build(Filter, name="envoy.filters.network.http_connection_manager", typed_config=any_of(manager))
    return encode(
        build(
            Listener,
            name=name,
            address=build(Address, socket_address=build(SocketAddress, address=address, port_value=port)),
            filter_chains=[build(FilterChain, filters=[http])],
            per_connection_buffer_limit_bytes=_BUFFER_LIMIT,
            traffic_direction=direction,
        )
    )
