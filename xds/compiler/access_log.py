"""Access logs: one JSON object a line, saying which rule and which version a request met."""

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.config.core.v3 import SubstitutionFormatString
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.google.protobuf import Struct, Value

from xds.wire import any_of, build

# By Envoy's command operators ("Access logging", "Command Operators"); durations are milliseconds.
_FIELDS = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "duration": "%DURATION%",
}


def json_access_log(path: str) -> AccessLog:
    """Build an access log that appends JSON lines to a file on the proxy's machine.

    The keys are ``start_time``, ``method``, ``path``, ``authority``, ``response_code``, ``response_flags``,
    ``route`` (the name of the rule), ``cluster`` (``service|subset``), ``upstream_host`` and ``duration``
    in milliseconds.
    """
    fields = {key: build(Value, string_value=operator) for key, operator in _FIELDS.items()}
    log_format = build(SubstitutionFormatString, json_format=build(Struct, fields=fields))
    return build(
        AccessLog,
        name="envoy.access_loggers.file",
        typed_config=any_of(build(FileAccessLog, path=path, log_format=log_format)),
    )
