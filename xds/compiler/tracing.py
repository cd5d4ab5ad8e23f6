"""Traces: what a proxy tells a collector of the requests that it passes on (OTLP)."""

from dataclasses import dataclass

from envoy_data_plane.envoy.config.core.v3 import GrpcService, GrpcServiceEnvoyGrpc
from envoy_data_plane.envoy.config.trace.v3 import OpenTelemetryConfig, TracingHttp
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManagerTracing,
)
from envoy_data_plane.envoy.type.tracing.v3 import CustomTag
from envoy_data_plane.envoy.type.v3 import Percent

from xds.compiler.access_log import FALLBACK, RULE, SERVICE, SUBSET
from xds.compiler.names import TRACING
from xds.wire import any_of, build

_TAGS = {
    "grayplane.rule": RULE,
    "grayplane.service": SERVICE,
    "grayplane.subset": SUBSET,
    "grayplane.fallback": FALLBACK,
}


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where proxies send their traces: a collector's host and port, by gRPC.

    ``sampling`` is how many percent of the requests that come without a trace begin one; one that comes with
    a trace is decided. ``service`` is what the proxies are called in it.
    """

    host: str
    port: int
    sampling: float
    service: str


def tracing(settings: Tracing) -> HttpConnectionManagerTracing:
    """Build the tracing of a connection manager; it needs the cluster ``tracing``."""
    collector = build(GrpcService, envoy_grpc=build(GrpcServiceEnvoyGrpc, cluster_name=TRACING))
    config = build(OpenTelemetryConfig, grpc_service=collector, service_name=settings.service)
    return build(
        HttpConnectionManagerTracing,
        random_sampling=build(Percent, value=settings.sampling),
        custom_tags=[build(CustomTag, tag=tag, value=operator) for tag, operator in _TAGS.items()],
        provider=build(TracingHttp, name="envoy.tracers.opentelemetry", typed_config=any_of(config)),
    )
