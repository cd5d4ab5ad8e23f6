"""The HTTP that Envoy speaks to instances."""

from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import (
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    KeepaliveSettings,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions as CommonHttpProtocolOptions,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsAutoHttpConfig,
    HttpProtocolOptionsExplicitHttpConfig,
    HttpProtocolOptionsUseDownstreamHttpConfig,
)

from xds.rules import model
from xds.rules.instance import Protocol
from xds.wire import build

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

# Shorter than the shortest common keep-alive of an application server (5 s in Node.js and uvicorn): the
# side that closes an idle connection must be Envoy, or a request meets a connection just closed and fails.
# HTTP/2 servers say goodbye first (GOAWAY), so those connections may stay for Envoy's default of an hour.
_HTTP1_IDLE_TIMEOUT = timedelta(seconds=4)


def http_options(
    protocol: Protocol, pool: model.ConnectionPool | None = None, *, tls: bool = False
) -> HttpProtocolOptions:
    """Build the options of a cluster. ``auto`` is what the client speaks, or with TLS what ALPN settles."""
    options = build(HttpProtocolOptions, common_http_protocol_options=_common(protocol, pool))
    http1, http2 = build(Http1ProtocolOptions), _http2(pool)
    match protocol:
        case Protocol.HTTP:
            options.explicit_http_config = build(
                HttpProtocolOptionsExplicitHttpConfig, http_protocol_options=http1
            )
        case Protocol.HTTP2 | Protocol.GRPC:
            options.explicit_http_config = build(
                HttpProtocolOptionsExplicitHttpConfig, http2_protocol_options=http2
            )
        case Protocol.AUTO if tls:
            options.auto_config = build(
                HttpProtocolOptionsAutoHttpConfig, http_protocol_options=http1, http2_protocol_options=http2
            )
        case Protocol.AUTO:
            options.use_downstream_protocol_config = build(
                HttpProtocolOptionsUseDownstreamHttpConfig,
                http_protocol_options=http1,
                http2_protocol_options=http2,
            )
    return options


def _common(protocol: Protocol, pool: model.ConnectionPool | None) -> CommonHttpProtocolOptions:
    tcp = (pool and pool.tcp) or model.TcpPool()
    http = (pool and pool.http) or model.HttpPool()
    http2_only = protocol in {Protocol.HTTP2, Protocol.GRPC}
    return build(
        CommonHttpProtocolOptions,
        idle_timeout=tcp.idle_timeout or (None if http2_only else _HTTP1_IDLE_TIMEOUT),
        max_connection_duration=tcp.max_connection_duration,
        max_requests_per_connection=http.max_requests_per_connection,
    )


def _http2(pool: model.ConnectionPool | None) -> Http2ProtocolOptions:
    # A connection over which nothing comes back is closed, so that calls do not wait on a lost machine.
    keepalive = build(KeepaliveSettings, interval=timedelta(seconds=30), timeout=timedelta(seconds=5))
    streams = pool.http.max_concurrent_streams if pool and pool.http else None
    return build(
        Http2ProtocolOptions,
        connection_keepalive=keepalive,
        allow_connect=True,
        max_concurrent_streams=streams,
    )
