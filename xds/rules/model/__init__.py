"""The documents of the gray-rule language as typed values (see docs/rules.md for the language).

Every model is frozen and refuses unknown fields. Field names are Python's; aliases are the language's words.
The models check every value and every object by itself. `xds.rules.cross_checks` checks how objects fit
together. `xds.rules.parse` does both and knows where things stand in the text: only what it returns is whole.
"""

from xds.rules.model.actions import (
    Abort,
    Delay,
    Destination,
    DirectResponse,
    Fault,
    HeaderChanges,
    Headers,
    Mirror,
    Redirect,
    Retries,
    Rewrite,
    Sticky,
    UriRegex,
)
from xds.rules.model.base import Model
from xds.rules.model.lanes import Lane, LanesDocument
from xds.rules.model.matching import (
    Device,
    Identity,
    ListReference,
    Match,
    Matcher,
    Percentage,
    Range,
    StringMatcher,
    UriMatcher,
    operators,
)
from xds.rules.model.rollout import (
    Analysis,
    Latency,
    PrometheusCheck,
    Rollout,
    Step,
    SuccessRate,
    Webhook,
)
from xds.rules.model.rule import NO_FALLBACK, HttpRule, RuleDocument, Subset
from xds.rules.model.schedule import Schedule
from xds.rules.model.traffic import (
    ConnectionPool,
    ConsistentHash,
    HealthCheck,
    HttpCookie,
    HttpPool,
    LoadBalancer,
    OutlierDetection,
    TcpPool,
    Tls,
    TrafficPolicy,
    Warmup,
)

__all__ = [
    "NO_FALLBACK",
    "Abort",
    "Analysis",
    "ConnectionPool",
    "ConsistentHash",
    "Delay",
    "Destination",
    "Device",
    "DirectResponse",
    "Fault",
    "HeaderChanges",
    "Headers",
    "HealthCheck",
    "HttpCookie",
    "HttpPool",
    "HttpRule",
    "Identity",
    "Lane",
    "LanesDocument",
    "Latency",
    "ListReference",
    "LoadBalancer",
    "Match",
    "Matcher",
    "Mirror",
    "Model",
    "OutlierDetection",
    "Percentage",
    "PrometheusCheck",
    "Range",
    "Redirect",
    "Retries",
    "Rewrite",
    "Rollout",
    "RuleDocument",
    "Schedule",
    "Step",
    "Sticky",
    "StringMatcher",
    "Subset",
    "SuccessRate",
    "TcpPool",
    "Tls",
    "TrafficPolicy",
    "UriMatcher",
    "UriRegex",
    "Warmup",
    "Webhook",
    "operators",
]
