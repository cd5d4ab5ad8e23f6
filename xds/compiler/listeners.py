"""Listeners: where a proxy takes requests, and how it treats them before a route is looked up."""

from datetime import timedelta
from typing import Any

from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    SocketAddress,
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    HttpConnectionManagerUpgradeConfig,
    HttpFilter,
    RequestIdExtension,
)
from envoy_data_plane.envoy.extensions.request_id.uuid.v3 import UuidRequestIdConfig

from xds.compiler.access_log import json_access_log
from xds.compiler.names import INBOUND
from xds.compiler.route_sources import RouteSource
from xds.wire import any_of, build, encode

_BUFFER_LIMIT = 32 * 1024


def edge_listener(name: str, address: str, port: int, routes: RouteSource, access_log: str | None) -> bytes:
    """Encode the listener of an edge proxy: hardened as Envoy's "Configuring Envoy as an edge proxy" says.

    Two of its points are left out on purpose: ``request_timeout`` would cut off long uploads and client
    streams (headers and idle streams are timed all the same), and header names with underscores pass, since
    rules may match on them.
    """
    manager = _connection_manager(
        "edge",
        access_log,
        routes,
        use_remote_address=True,
        path_with_escaped_slashes_action=(
            HttpConnectionManagerPathWithEscapedSlashesAction.UNESCAPE_AND_REDIRECT
        ),
        common_http_protocol_options=build(HttpProtocolOptions, idle_timeout=timedelta(hours=1)),
        http2_protocol_options=build(
            Http2ProtocolOptions,
            max_concurrent_streams=100,
            initial_stream_window_size=64 * 1024,
            initial_connection_window_size=1024 * 1024,
        ),
        stream_idle_timeout=timedelta(minutes=5),
        request_headers_timeout=timedelta(seconds=10),
    )
    return _listener(name, address, port, manager, TrafficDirection.INBOUND)


def outbound_listener(
    name: str, address: str, port: int, routes: RouteSource, access_log: str | None
) -> bytes:
    """Encode the listener of a sidecar that its application calls other services by."""
    manager = _connection_manager("outbound", access_log, routes)
    return _listener(name, address, port, manager, TrafficDirection.OUTBOUND)


def inbound_listener(name: str, address: str, port: int, access_log: str | None) -> bytes:
    """Encode the listener of a sidecar that calls to its application come in by, whatever the host.

    They go to the cluster ``inbound`` (``clusters.inbound_cluster``).
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
    manager = _connection_manager(INBOUND, access_log, RouteSource({"route_config": application}))
    return _listener(name, address, port, manager, TrafficDirection.INBOUND)


def _connection_manager(
    stat_prefix: str, access_log: str | None, routes: RouteSource, **fields: Any
) -> HttpConnectionManager:
    """Build what all roles have in common: hosts without ports, paths in one spelling, WebSockets."""
    router = build(HttpFilter, name="envoy.filters.http.router", typed_config=any_of(build(Router)))
    return build(
        HttpConnectionManager,
        stat_prefix=stat_prefix,
        http_filters=[*routes.filters, router],
        access_log=[json_access_log(access_log)] if access_log else [],
        generate_request_id=True,
        # The id stands in for a cookie that a user does not have yet (`decisions`): tracing must not
        # write its verdict into it halfway through the request.
        request_id_extension=build(
            RequestIdExtension, typed_config=any_of(build(UuidRequestIdConfig, pack_trace_reason=False))
        ),
        upgrade_configs=[build(HttpConnectionManagerUpgradeConfig, upgrade_type="websocket")],
        normalize_path=True,
        merge_slashes=True,
        strip_any_host_port=True,
        **routes.fields,
        **fields,
    )


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
