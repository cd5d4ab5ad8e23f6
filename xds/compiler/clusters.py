"""Clusters: how Envoy connects to the instances of a subset, whichever those are."""

from datetime import timedelta
from functools import lru_cache
from typing import Any

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
    ClusterEdsClusterConfig,
    OutlierDetection,
    UpstreamConnectionOptions,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    HealthCheckHttpHealthCheck,
    HealthCheckTcpHealthCheck,
    SocketAddress,
    TcpKeepalive,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.type.v3 import CodecClientType, Percent

from xds.compiler.config_source import ADS
from xds.compiler.endpoints import load_assignment
from xds.compiler.load_balancing import load_balancing, prefers_own_zone
from xds.compiler.metadata import own_metadata
from xds.compiler.names import INBOUND, TRACING
from xds.compiler.upstream_http import HTTP_OPTIONS, http_options
from xds.compiler.upstream_tls import tls_socket
from xds.rules import model
from xds.rules.instance import Instance, Protocol
from xds.wire import any_of, build, delimited, encode

_NAME = 1  # Cluster.name
_METADATA = 25  # Cluster.metadata
_LOAD_ASSIGNMENT = 33  # Cluster.load_assignment

_CONNECT_TIMEOUT = timedelta(seconds=1)

# As Envoy advises for proxies that strangers can reach: no peer makes it hold more than this unread.
_BUFFER_LIMIT = 32 * 1024

# Envoy's defaults (1,024 requests, 3 retries) are limits that nobody chose; limiting is the rule author's.
_UNLIMITED = 2**32 - 1

# When every instance is ejected or fails its health checks, priority 1 too, requests go to all of them:
# one of them may answer, and a wrong health check path is no outage. 0 would answer 503.
_PANIC_PERCENT = 1.0

DEFAULT_POLICY = model.TrafficPolicy()


def subset_cluster(
    name: str,
    policy: model.TrafficPolicy = DEFAULT_POLICY,
    protocol: Protocol = Protocol.HTTP,
    *,
    has_fallback: bool = False,
    resolved: bytes | None = None,
) -> bytes:
    """Encode the cluster of a subset.

    Its endpoints are the ClusterLoadAssignment of the same name, over ADS; or ``resolved``, a load assignment
    with names that Envoy resolves. ``protocol`` is what the instances speak; ``policy.protocol`` is not read.
    With ``has_fallback``, and where Envoy prefers its own zone, instances that cannot be connected to are
    left out for a while even if the policy asks for no outlier detection: then the fallback at priority 1, or
    the other zones, take over.
    """
    service, _, rest = name.partition("|")
    settings = _subset_settings(service, policy, protocol, has_fallback, resolved is not None)
    subset = {"subset": rest.partition("|")[0]} if rest else {}
    metadata = own_metadata({"service": service, **subset})
    cluster = settings + delimited(_NAME, name.encode()) + delimited(_METADATA, metadata)
    return cluster if resolved is None else cluster + delimited(_LOAD_ASSIGNMENT, resolved)


def tracing_cluster(host: str, port: int) -> bytes:
    """Encode the cluster ``tracing``: a collector of traces, by OTLP over gRPC without TLS."""
    address = build(Address, socket_address=build(SocketAddress, address=host, port_value=port))
    endpoint = build(LbEndpoint, endpoint=build(Endpoint, address=address))
    localities = [build(LocalityLbEndpoints, lb_endpoints=[endpoint])]
    return encode(
        build(
            Cluster,
            name=TRACING,
            type=ClusterDiscoveryType.STRICT_DNS,
            dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
            load_assignment=build(ClusterLoadAssignment, cluster_name=TRACING, endpoints=localities),
            typed_extension_protocol_options={HTTP_OPTIONS: any_of(http_options(Protocol.GRPC))},
            **_connections(None),
        )
    )


def inbound_cluster(port: int) -> bytes:
    """Encode the cluster ``inbound``: a sidecar's own application, on ``port`` of the loopback address.

    It is spoken to in the protocol of the request: who calls it knows what it speaks.
    """
    application = load_assignment(INBOUND, [Instance("127.0.0.1", port)])
    settings = encode(
        build(
            Cluster,
            name=INBOUND,
            type=ClusterDiscoveryType.STATIC,
            typed_extension_protocol_options={HTTP_OPTIONS: any_of(http_options(Protocol.AUTO))},
            **_connections(None),
        )
    )
    return settings + delimited(_LOAD_ASSIGNMENT, application)


# Few services differ in their settings, and building them takes longer than all else of a service.
@lru_cache(maxsize=4096)
def _subset_settings(
    service: str, policy: model.TrafficPolicy, protocol: Protocol, fallback: bool, resolves: bool
) -> bytes:
    """Encode everything of a cluster but its name; only health checks name the ``service``."""
    if policy.health_check is None and service:
        return _subset_settings("", policy, protocol, fallback, resolves)
    options = http_options(protocol, policy.connection_pool, tls=_has_tls(policy))
    return encode(
        build(
            Cluster,
            **(_resolved() if resolves else _over_ads()),
            load_balancing_policy=load_balancing(policy.load_balancer),
            common_lb_config=build(ClusterCommonLbConfig, healthy_panic_threshold=_panic(policy)),
            ignore_health_on_host_removal=True,
            outlier_detection=_outlier_detection(policy, has_fallback=fallback),
            health_checks=[_health_check(service, policy.health_check, protocol)]
            if policy.health_check
            else [],
            transport_socket=tls_socket(policy.tls, protocol) if policy.tls and _has_tls(policy) else None,
            typed_extension_protocol_options={HTTP_OPTIONS: any_of(options)},
            **_connections(policy.connection_pool),
        )
    )


def _over_ads() -> dict[str, Any]:
    return {
        "type": ClusterDiscoveryType.EDS,
        "eds_cluster_config": build(ClusterEdsClusterConfig, eds_config=ADS),
    }


def _resolved() -> dict[str, Any]:
    # Every address of a name is an endpoint. Envoy asks again every 5 seconds, and keeps what it knows while
    # it gets no answer.
    return {
        "type": ClusterDiscoveryType.STRICT_DNS,
        "dns_lookup_family": ClusterDnsLookupFamily.V4_PREFERRED,
    }


def _has_tls(policy: model.TrafficPolicy) -> bool:
    return policy.tls is not None and policy.tls.mode != "DISABLE"


def _panic(policy: model.TrafficPolicy) -> Percent:
    asked = policy.outlier_detection.min_health_percent if policy.outlier_detection else None
    return build(Percent, value=_PANIC_PERCENT if asked is None else float(asked))


def _connections(pool: model.ConnectionPool | None) -> dict[str, Any]:
    tcp = (pool and pool.tcp) or model.TcpPool()
    http = (pool and pool.http) or model.HttpPool()
    thresholds = build(
        CircuitBreakersThresholds,
        max_connections=_or_unlimited(tcp.max_connections),
        max_pending_requests=_or_unlimited(http.http1_max_pending_requests),
        max_requests=_or_unlimited(http.http2_max_requests),
        max_retries=_or_unlimited(http.max_retries),
    )
    return {
        "connect_timeout": tcp.connect_timeout or _CONNECT_TIMEOUT,
        "per_connection_buffer_limit_bytes": _BUFFER_LIMIT,
        "circuit_breakers": build(CircuitBreakers, thresholds=[thresholds]),
        "upstream_connection_options": build(
            UpstreamConnectionOptions,
            tcp_keepalive=build(TcpKeepalive, keepalive_probes=3, keepalive_time=30, keepalive_interval=5),
        ),
    }


def _or_unlimited(limit: int | None) -> int:
    return _UNLIMITED if limit is None else limit


def _outlier_detection(policy: model.TrafficPolicy, *, has_fallback: bool) -> OutlierDetection | None:
    asked = policy.outlier_detection
    if asked is None:
        if prefers_own_zone(policy.load_balancer):
            # A retry goes to the same zone as long as an instance counts there: one failure must do.
            return _unreachable(after=1)
        return _unreachable(after=3) if has_fallback else None
    errors = 5 if asked.consecutive5xx_errors is None else asked.consecutive5xx_errors
    gateway_errors = asked.consecutive_gateway_errors or 0
    return build(
        OutlierDetection,
        consecutive_5xx=errors or None,
        enforcing_consecutive_5xx=100 if errors else 0,
        consecutive_gateway_failure=gateway_errors or None,
        enforcing_consecutive_gateway_failure=100 if gateway_errors else 0,
        enforcing_success_rate=0,
        interval=asked.interval,
        base_ejection_time=asked.base_ejection_time,
        max_ejection_percent=100 if asked.max_ejection_percent is None else asked.max_ejection_percent,
    )


def _unreachable(after: int) -> OutlierDetection:
    """Leave out instances for 5 to 30 seconds after so many connections failed in a row; no answer counts."""
    return build(
        OutlierDetection,
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=after,
        enforcing_consecutive_local_origin_failure=100,
        enforcing_local_origin_success_rate=0,
        enforcing_consecutive_5xx=0,
        enforcing_consecutive_gateway_failure=0,
        enforcing_success_rate=0,
        interval=timedelta(seconds=1),
        base_ejection_time=timedelta(seconds=5),
        max_ejection_time=timedelta(seconds=30),
        max_ejection_percent=100,
    )


def _health_check(service: str, asked: model.HealthCheck, protocol: Protocol) -> HealthCheck:
    check = build(
        HealthCheck,
        interval=asked.interval,
        # Also where nothing has been sent yet; Envoy's default of 60 s would find a dead instance late.
        no_traffic_interval=asked.interval,
        timeout=asked.timeout,
        healthy_threshold=asked.healthy_threshold,
        unhealthy_threshold=asked.unhealthy_threshold,
    )
    if asked.path is not None:
        http2 = protocol in {Protocol.HTTP2, Protocol.GRPC}
        check.http_health_check = build(
            HealthCheckHttpHealthCheck,
            host=service,
            path=asked.path,
            codec_client_type=CodecClientType.HTTP2 if http2 else CodecClientType.HTTP1,
        )
    elif protocol is Protocol.GRPC:
        check.grpc_health_check = build(HealthCheckGrpcHealthCheck, authority=service)
    else:
        check.tcp_health_check = build(HealthCheckTcpHealthCheck)
    return check
