"""Clusters: how Envoy connects to the instances of a subset, whichever those are."""

from datetime import timedelta
from functools import cache
from typing import Any

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
    ClusterLbPolicy,
    UpstreamConnectionOptions,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Http1ProtocolOptions,
    TcpKeepalive,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions as CommonHttpProtocolOptions,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent

from xds.compiler.config_source import ADS
from xds.compiler.endpoints import load_assignment
from xds.compiler.names import INBOUND
from xds.rules.instance import Instance
from xds.wire import any_of, build, delimited, encode

_NAME = 1  # Cluster.name
_LOAD_ASSIGNMENT = 33  # Cluster.load_assignment
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_CONNECT_TIMEOUT = timedelta(seconds=1)

# Shorter than the shortest common keep-alive of an application server (5 s in Node.js and uvicorn): the
# side that closes an idle connection must be Envoy, or a request meets a connection just closed and fails.
_UPSTREAM_IDLE_TIMEOUT = timedelta(seconds=4)

# As Envoy advises for proxies that strangers can reach: no peer makes it hold more than this unread.
_BUFFER_LIMIT = 32 * 1024

# Envoy's defaults (1,024 requests, 3 retries) are limits that nobody chose; limiting is the rule author's.
_UNLIMITED = 2**32 - 1


def eds_cluster(name: str) -> bytes:
    """Encode the cluster whose endpoints are the ClusterLoadAssignment of the same name, over ADS."""
    return _eds_settings() + delimited(_NAME, name.encode())


def inbound_cluster(port: int) -> bytes:
    """Encode the cluster ``inbound``: a sidecar's own application, on ``port`` of the loopback address."""
    application = load_assignment(INBOUND, [Instance("127.0.0.1", port)])
    settings = encode(_cluster(name=INBOUND, type=ClusterDiscoveryType.STATIC))
    return settings + delimited(_LOAD_ASSIGNMENT, application)


@cache
def _eds_settings() -> bytes:
    """Encode what all clusters have in common, once: building it takes longer than all else of a service."""
    return encode(
        _cluster(
            type=ClusterDiscoveryType.EDS,
            eds_cluster_config=build(ClusterEdsClusterConfig, eds_config=ADS),
            lb_policy=ClusterLbPolicy.LEAST_REQUEST,
            # The registry decides who is healthy. In panic Envoy would send requests to others as well.
            common_lb_config=build(ClusterCommonLbConfig, healthy_panic_threshold=build(Percent, value=0.0)),
            ignore_health_on_host_removal=True,
        )
    )


def _cluster(**fields: Any) -> Cluster:
    return build(
        Cluster,
        connect_timeout=_CONNECT_TIMEOUT,
        per_connection_buffer_limit_bytes=_BUFFER_LIMIT,
        circuit_breakers=build(
            CircuitBreakers,
            thresholds=[
                build(
                    CircuitBreakersThresholds,
                    max_connections=_UNLIMITED,
                    max_pending_requests=_UNLIMITED,
                    max_requests=_UNLIMITED,
                    max_retries=_UNLIMITED,
                )
            ],
        ),
        upstream_connection_options=build(
            UpstreamConnectionOptions,
            tcp_keepalive=build(TcpKeepalive, keepalive_probes=3, keepalive_time=30, keepalive_interval=5),
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: any_of(_http1())},
        **fields,
    )


def _http1() -> HttpProtocolOptions:
    return build(
        HttpProtocolOptions,
        common_http_protocol_options=build(CommonHttpProtocolOptions, idle_timeout=_UPSTREAM_IDLE_TIMEOUT),
        explicit_http_config=build(
            HttpProtocolOptionsExplicitHttpConfig, http_protocol_options=build(Http1ProtocolOptions)
        ),
    )
