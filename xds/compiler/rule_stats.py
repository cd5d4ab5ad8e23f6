"""Statistics by service, rule and subset: for each request, by the stats access logger of Envoy.

Statistics of clusters know no rules, those of routes no subsets. Names of rules and subsets come from
documents, so there are few; a bound holds all the same, since every one of them takes memory of each proxy.
"""

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLog,
    AccessLogFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.core.v3 import RuntimeUInt32
from envoy_data_plane.envoy.extensions.access_loggers.stats.v3 import (
    Config,
    ConfigCounter,
    ConfigHistogram,
    ConfigHistogramUnit,
    ConfigStat,
    ConfigTag,
)
from envoy_data_plane.envoy.type.v3 import Scope

from xds.compiler.access_log import RULE, SERVICE, SUBSET
from xds.wire import any_of, build

_TAGS = {"grayplane_service": SERVICE, "grayplane_rule": RULE, "grayplane_subset": SUBSET}
_MOST_COUNTERS, _MOST_HISTOGRAMS = 20_000, 2_000


def rule_stats() -> list[AccessLog]:
    """Build the loggers that count requests, those answered 500 and above, and how long they took.

    In Prometheus: ``envoy_grayplane_requests``, ``envoy_grayplane_errors``, ``envoy_grayplane_duration``
    (milliseconds), with the labels ``grayplane_service``, ``grayplane_rule``, ``grayplane_subset``.
    """
    duration = build(
        ConfigHistogram,
        stat=_stat("duration"),
        unit=ConfigHistogramUnit.Milliseconds,
        value_format="%DURATION%",
    )
    server_errors = build(
        ComparisonFilter,
        op=ComparisonFilterOp.GE,
        value=build(RuntimeUInt32, default_value=500, runtime_key="grayplane.errors_from"),
    )
    failed = build(AccessLogFilter, status_code_filter=build(StatusCodeFilter, comparison=server_errors))
    return [
        _logger(counters=[_counter("requests")], histograms=[duration]),
        _logger(failed, counters=[_counter("errors")]),
    ]


def _counter(name: str) -> ConfigCounter:
    return build(ConfigCounter, stat=_stat(name), value_fixed=1)


def _stat(name: str) -> ConfigStat:
    tags = [build(ConfigTag, name=tag, value_format=operator) for tag, operator in _TAGS.items()]
    return build(ConfigStat, name=name, tags=tags)


def _logger(
    chosen: AccessLogFilter | None = None,
    *,
    counters: list[ConfigCounter],
    histograms: list[ConfigHistogram] | None = None,
) -> AccessLog:
    scope = build(
        Scope,
        prefix="grayplane",
        max_counters=_MOST_COUNTERS,
        max_histograms=_MOST_HISTOGRAMS,
        enable_eviction=True,
    )
    config = build(Config, stats_scope=scope, counters=counters, histograms=histograms or [])
    return build(AccessLog, name="envoy.access_loggers.stats", filter=chosen, typed_config=any_of(config))
