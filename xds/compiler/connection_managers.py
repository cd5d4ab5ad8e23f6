"""Connection managers: how a proxy reads requests, before a route is looked up."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    HttpProtocolOptions,
)
from envoy_data_plane.envoy.extensions.filters.http.grpc_web.v3 import GrpcWeb
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutation as HeaderMutationFilter,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import Mutations
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    HttpConnectionManagerUpgradeConfig,
    HttpFilter,
    RequestIdExtension,
)
from envoy_data_plane.envoy.extensions.request_id.uuid.v3 import UuidRequestIdConfig

from xds.compiler.access_log import json_access_log, latency_log
from xds.compiler.bucket_filter import bucket_filter, bucket_stripping
from xds.compiler.lane_filters import lane_filters, mark_stripping
from xds.compiler.names import INBOUND
from xds.compiler.route_filters import route_filters
from xds.compiler.route_sources import RouteSource
from xds.compiler.rule_stats import rule_stats
from xds.compiler.tracing import Tracing, tracing
from xds.routing.lanes import Entrances
from xds.wire import any_of, build

GRPC_WEB_FILTER = "envoy.filters.http.grpc_web"


class EscapedSlashes(StrEnum):
    """What becomes of a path with ``%2F`` or ``%5C``, an encoded slash or backslash.

    An application may read it as a slash although no route did: a request for ``/public/..%2Fadmin``. What
    is safe depends on the application, so the operator decides.
    """

    KEEP = "keep"
    REDIRECT = "redirect"
    DECODE = "decode"
    REJECT = "reject"


_ESCAPED_SLASHES = {
    EscapedSlashes.KEEP: HttpConnectionManagerPathWithEscapedSlashesAction.KEEP_UNCHANGED,
    EscapedSlashes.REDIRECT: HttpConnectionManagerPathWithEscapedSlashesAction.UNESCAPE_AND_REDIRECT,
    EscapedSlashes.DECODE: HttpConnectionManagerPathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD,
    EscapedSlashes.REJECT: HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST,
}


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What an operator sets of the HTTP of a listener.

    ``access_log`` is a path on the proxy's machine. ``rule_stats`` counts requests by rule and subset.
    ``http10`` accepts HTTP/1.0; ``http10_host`` is the host of such requests that name none, which are
    answered 404 otherwise. ``upgrades`` are the protocols that a request may upgrade to. ``latency_cluster``
    is what the proxies' bootstraps call Grayplane: how long requests take is reported there, where a rollout
    wants to know; None: nowhere.
    """

    access_log: str | None = None
    escaped_slashes: EscapedSlashes = EscapedSlashes.KEEP
    http10: bool = False
    http10_host: str | None = None
    upgrades: tuple[str, ...] = ("websocket",)
    latency_cluster: str | None = None
    tracing: Tracing | None = None
    rule_stats: bool = False


def edge_manager(
    settings: HttpSettings,
    trusted_hops: int,
    routes: RouteSource,
    entrances: Entrances,
    *,
    hsts: timedelta | None = None,
    bucket_by: str | None = None,
) -> HttpConnectionManager:
    """Build the connection manager of an edge, as Envoy's "Configuring Envoy as an edge proxy" says.

    Two of its points are left out on purpose: ``request_timeout`` would cut off long uploads and client
    streams (headers and idle streams are timed all the same), and header names with underscores pass, since
    rules may match on them.

    ``entrances`` say who is taken into which lane, ``bucket_by`` what the bucket header is made of.
    """
    own = [*([_hsts(hsts)] if hsts else ()), *([bucket_filter(bucket_by)] if bucket_by else ())]
    filters = (*own, *lane_filters(entrances), *routes.filters)
    stripping = [*([bucket_stripping()] if bucket_by else ()), *mark_stripping(entrances)]
    return _manager(
        "edge",
        settings,
        replace(routes, filters=filters),
        early_header_mutation_extensions=stripping,
        use_remote_address=True,
        xff_num_trusted_hops=trusted_hops,
        common_http_protocol_options=build(HttpProtocolOptions, idle_timeout=timedelta(hours=1)),
        http2_protocol_options=build(
            Http2ProtocolOptions,
            max_concurrent_streams=100,
            initial_stream_window_size=64 * 1024,
            initial_connection_window_size=1024 * 1024,
            allow_connect=True,
        ),
        stream_idle_timeout=timedelta(minutes=5),
        request_headers_timeout=timedelta(seconds=10),
    )


def outbound_manager(settings: HttpSettings, routes: RouteSource) -> HttpConnectionManager:
    """Build the connection manager of a sidecar for the calls of its application.

    Requests in absolute form, as applications send them to an HTTP proxy, are read like all others.
    """
    return _manager("outbound", settings, routes, http2_protocol_options=_http2_with_upgrades())


def inbound_manager(settings: HttpSettings, routes: RouteSource) -> HttpConnectionManager:
    """Build the connection manager of a sidecar for the calls to its application."""
    return _manager(INBOUND, settings, routes, http2_protocol_options=_http2_with_upgrades())


def _manager(
    stat_prefix: str, settings: HttpSettings, routes: RouteSource, **fields: Any
) -> HttpConnectionManager:
    """Build what all roles have in common: hosts and paths in one spelling, request ids, upgrades."""
    return build(
        HttpConnectionManager,
        stat_prefix=stat_prefix,
        http_filters=[_grpc_web(), *routes.filters, *route_filters(), _router()],
        access_log=_access_logs(stat_prefix, settings),
        tracing=tracing(settings.tracing) if settings.tracing else None,
        generate_request_id=True,
        # The id stands in for a cookie that a user does not have yet (``actions``): tracing must not
        # write its verdict into it halfway through the request.
        request_id_extension=build(
            RequestIdExtension, typed_config=any_of(build(UuidRequestIdConfig, pack_trace_reason=False))
        ),
        upgrade_configs=[
            build(HttpConnectionManagerUpgradeConfig, upgrade_type=protocol) for protocol in settings.upgrades
        ],
        http_protocol_options=_http1(settings),
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=_ESCAPED_SLASHES[settings.escaped_slashes],
        strip_any_host_port=True,
        strip_trailing_host_dot=True,
        **routes.fields,
        **fields,
    )


def _access_logs(stat_prefix: str, settings: HttpSettings) -> list[AccessLog]:
    logs = [json_access_log(settings.access_log)] if settings.access_log else []
    if settings.latency_cluster is not None and stat_prefix != INBOUND:
        logs.append(latency_log(settings.latency_cluster))
    if settings.rule_stats and stat_prefix != INBOUND:
        logs += rule_stats()
    return logs


def _http1(settings: HttpSettings) -> Http1ProtocolOptions | None:
    if not settings.http10:
        return None
    return build(
        Http1ProtocolOptions, accept_http_10=True, default_host_for_http_10=settings.http10_host or ""
    )


def _http2_with_upgrades() -> Http2ProtocolOptions:
    """Accept upgrades over HTTP/2, which are CONNECT requests with a protocol (RFC 8441)."""
    return build(Http2ProtocolOptions, allow_connect=True)


def _grpc_web() -> HttpFilter:
    """Translate gRPC-Web, which browsers speak, into gRPC; other requests pass it untouched.

    It is off but for virtual hosts that turn it on: an application that speaks gRPC-Web by itself, over
    HTTP/1.1, would not understand what it makes.
    """
    return build(HttpFilter, name=GRPC_WEB_FILTER, typed_config=any_of(build(GrpcWeb)), disabled=True)


def _hsts(duration: timedelta) -> HttpFilter:
    """Tell browsers to use https alone (RFC 6797), whoever answers."""
    header = build(
        HeaderValue, key="strict-transport-security", value=f"max-age={int(duration.total_seconds())}"
    )
    mutation = build(
        HeaderMutation,
        append=build(
            HeaderValueOption,
            header=header,
            append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
        ),
    )
    config = build(HeaderMutationFilter, mutations=build(Mutations, response_mutations=[mutation]))
    return build(HttpFilter, name="envoy.filters.http.header_mutation", typed_config=any_of(config))


def _router() -> HttpFilter:
    return build(HttpFilter, name="envoy.filters.http.router", typed_config=any_of(build(Router)))
