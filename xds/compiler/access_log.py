"""Access logs: one JSON object a line, saying which rule and which version a request met; and latencies.

Load reports say how many requests to a cluster failed and not how long they took. So each listener logs the
requests to services whose latency is analysed, and no others, to Grayplane itself: over the access log
service, chosen by the metadata of the virtual host. To begin or end that costs one virtual host, never a
listener.
"""

from datetime import timedelta

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog, AccessLogFilter, ExtensionFilter
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Metadata,
    SubstitutionFormatString,
)
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel.v3 import ExpressionFilter
from envoy_data_plane.envoy.extensions.access_loggers.grpc.v3 import (
    CommonGrpcAccessLogConfig,
    HttpGrpcAccessLogConfig,
)
from envoy_data_plane.envoy.type.metadata.v3 import (
    MetadataKey,
    MetadataKeyPathSegment,
    MetadataKind,
    MetadataKindHost,
)
from envoy_data_plane.envoy.type.tracing.v3 import CustomTag, CustomTagMetadata
from envoy_data_plane.google.protobuf import Struct, Value

from xds.compiler.metadata import NAMESPACE
from xds.wire import any_of, build

RULE = "%ROUTE_NAME%"
SERVICE = "%METADATA(CLUSTER:grayplane:service)%"
SUBSET = "%METADATA(CLUSTER:grayplane:subset)%"
FALLBACK = "%METADATA(UPSTREAM_HOST:grayplane:subset)%"
"""Of a request: its rule, the service and the subset that it went to, and the subset that served it instead
(``clusters``, ``endpoints``)."""

# By Envoy's command operators ("Access logging", "Command Operators"); durations are milliseconds.
_FIELDS = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route": RULE,
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "service": SERVICE,
    "subset": SUBSET,
    "fallback": FALLBACK,
    "upstream_host": "%UPSTREAM_HOST%",
    "duration": "%DURATION%",
}


def json_access_log(path: str) -> AccessLog:
    """Build an access log that appends JSON lines to a file on the proxy's machine.

    The keys are ``start_time``, ``method``, ``path``, ``authority``, ``response_code``, ``response_flags``,
    ``route`` (the name of the rule), ``cluster`` (``service|subset``), ``service``, ``subset``, ``fallback``
    (the subset that served instead, else null), ``upstream_host`` and ``duration`` in milliseconds.
    """
    fields = {key: build(Value, string_value=operator) for key, operator in _FIELDS.items()}
    log_format = build(SubstitutionFormatString, json_format=build(Struct, fields=fields))
    return build(
        AccessLog,
        name="envoy.access_loggers.file",
        typed_config=any_of(build(FileAccessLog, path=path, log_format=log_format)),
    )


FALLBACK_TAG = "fallback"
"""In entries of ``latency_log``: the subset that served instead of the cluster's own; missing if none did."""
_MEASURED = "measured"
_FLUSH = timedelta(seconds=1)


def measured() -> Metadata:
    """Return the metadata of a virtual host whose requests ``latency_log`` logs."""
    yes = build(Struct, fields={_MEASURED: build(Value, bool_value=True)})
    return build(Metadata, filter_metadata={NAMESPACE: yes})


def latency_log(cluster: str) -> AccessLog:
    """Build the log of requests to ``measured`` virtual hosts.

    ``cluster`` is what a proxy's bootstrap calls Grayplane; a proxy that has no such cluster rejects the
    listener.
    """
    common = build(
        CommonGrpcAccessLogConfig,
        log_name=NAMESPACE,
        transport_api_version=ApiVersion.V3,
        grpc_service=build(GrpcService, envoy_grpc=build(GrpcServiceEnvoyGrpc, cluster_name=cluster)),
        buffer_flush_interval=_FLUSH,
        custom_tags=[_fallback_tag()],
    )
    chosen = build(
        ExpressionFilter,
        expression=f"xds.virtual_host_metadata.filter_metadata['{NAMESPACE}']['{_MEASURED}']",
    )
    return build(
        AccessLog,
        name="envoy.access_loggers.http_grpc",
        filter=build(
            AccessLogFilter,
            extension_filter=build(
                ExtensionFilter,
                name="envoy.access_loggers.extension_filters.cel",
                typed_config=any_of(chosen),
            ),
        ),
        typed_config=any_of(build(HttpGrpcAccessLogConfig, common_config=common)),
    )


def _fallback_tag() -> CustomTag:
    """Take the tag from the metadata of the endpoint; only those of a fallback have any."""
    path = build(MetadataKeyPathSegment, key="subset")
    return build(
        CustomTag,
        tag=FALLBACK_TAG,
        metadata=build(
            CustomTagMetadata,
            kind=build(MetadataKind, host=build(MetadataKindHost)),
            metadata_key=build(MetadataKey, key=NAMESPACE, path=[path]),
        ),
    )
