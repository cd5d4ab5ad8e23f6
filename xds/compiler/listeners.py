"""Listeners: where a proxy takes requests, and which connection manager treats them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import Address, SocketAddress, TrafficDirection, TransportSocket
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    RedirectAction,
    RedirectActionRedirectResponseCode,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CommonTlsContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    TlsParameters,
    TlsParametersTlsProtocol,
)

from xds.compiler.config_source import ADS
from xds.compiler.connection_managers import (
    EscapedSlashes,
    HttpSettings,
    edge_manager,
    inbound_manager,
    outbound_manager,
)
from xds.compiler.names import INBOUND
from xds.compiler.route_sources import RouteMode, RouteSource
from xds.routing.lanes import Entrances
from xds.wire import any_of, build, encode

_BUFFER_LIMIT = 32 * 1024
_NO_LANES = Entrances()


# For a client to shake hands; one that never does holds a connection no longer.
_HANDSHAKE_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Https:
    """The HTTPS of an edge.

    With ``redirect`` requests to the plain listener are answered 308 to https on ``redirect_port``, the one
    that clients see. ``hsts`` is how long browsers are told to use https alone.
    """

    port: int
    redirect: bool = True
    redirect_port: int = 443
    hsts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class EdgeListener:
    """What an operator sets of the listeners of an edge proxy.

    ``trusted_hops`` is how many proxies in front of it are believed in ``x-forwarded-for``. ``bucket_by`` is
    the header that the bucket header is made of (``xds.routing.buckets``); None: there is none.
    """

    address: str
    port: int
    routes: RouteMode = RouteMode.SHARED
    trusted_hops: int = 0
    https: Https | None = None
    http: HttpSettings = field(default_factory=lambda: HttpSettings(escaped_slashes=EscapedSlashes.REDIRECT))
    bucket_by: str | None = None


@dataclass(frozen=True, slots=True)
class SidecarListeners:
    """What an operator sets of the two listeners of a sidecar."""

    address: str
    outbound_port: int
    inbound_port: int
    routes: RouteMode = RouteMode.SHARED
    http: HttpSettings = field(default_factory=HttpSettings)


def edge_listener(
    name: str, at: EdgeListener, routes: RouteSource, entrances: Entrances = _NO_LANES
) -> bytes:
    """Encode the plain listener of an edge proxy, which strangers reach and where requests enter lanes."""
    if at.https and at.https.redirect:
        routes = RouteSource({"route_config": _redirection(at.https.redirect_port)})
    manager = edge_manager(at.http, at.trusted_hops, routes, entrances, bucket_by=at.bucket_by)
    return _listener(name, _address(at.address, at.port), manager, TrafficDirection.INBOUND)


def https_listener(
    name: str,
    at: EdgeListener,
    routes: RouteSource,
    certificates: Sequence[str],
    entrances: Entrances = _NO_LANES,
) -> bytes:
    """Encode the HTTPS listener of an edge proxy that has one (``at.https``).

    ``certificates`` are the names of secrets, at least one. Envoy chooses by the name that the client asks
    for, and takes the first if none is for that.
    """
    assert at.https is not None
    manager = edge_manager(
        at.http, at.trusted_hops, routes, entrances, hsts=at.https.hsts, bucket_by=at.bucket_by
    )
    context = build(
        DownstreamTlsContext,
        common_tls_context=build(
            CommonTlsContext,
            tls_params=build(TlsParameters, tls_minimum_protocol_version=TlsParametersTlsProtocol.TLSv1_2),
            tls_certificate_sds_secret_configs=[
                build(SdsSecretConfig, name=secret, sds_config=ADS) for secret in certificates
            ],
            alpn_protocols=["h2", "http/1.1"],
        ),
    )
    tls = build(TransportSocket, name="envoy.transport_sockets.tls", typed_config=any_of(context))
    address = _address(at.address, at.https.port)
    return _listener(name, address, manager, TrafficDirection.INBOUND, tls)


def outbound_listener(name: str, at: SidecarListeners, routes: RouteSource) -> bytes:
    """Encode the listener of a sidecar by which its application calls other services."""
    manager = outbound_manager(at.http, routes)
    return _listener(name, _address(at.address, at.outbound_port), manager, TrafficDirection.OUTBOUND)


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
    return _listener(name, _address(at.address, at.inbound_port), manager, TrafficDirection.INBOUND)


def _redirection(port: int) -> RouteConfiguration:
    """Send everybody to https, with the same method and path."""
    redirect = build(
        RedirectAction,
        https_redirect=True,
        port_redirect=0 if port == 443 else port,
        response_code=RedirectActionRedirectResponseCode.PERMANENT_REDIRECT,
    )
    route = build(Route, name="https", match=build(RouteMatch, prefix="/"), redirect=redirect)
    host = build(VirtualHost, name="https", domains=["*"], routes=[route])
    return build(RouteConfiguration, name="https-redirect", virtual_hosts=[host])


def _address(address: str, port: int) -> Address:
    return build(Address, socket_address=build(SocketAddress, address=address, port_value=port))


def _listener(
    name: str,
    address: Address,
    manager: HttpConnectionManager,
    direction: TrafficDirection,
    tls: TransportSocket | None = None,
) -> bytes:
    http = build(Filter, name="envoy.filters.network.http_connection_manager", typed_config=any_of(manager))
    chain = build(FilterChain, filters=[http])
    if tls:
        chain.transport_socket = tls
        chain.transport_socket_connect_timeout = _HANDSHAKE_TIMEOUT
    return encode(
        build(
            Listener,
            name=name,
            address=address,
            filter_chains=[chain],
            per_connection_buffer_limit_bytes=_BUFFER_LIMIT,
            traffic_direction=direction,
        )
    )
