"""Plans for tests."""

from datetime import UTC, datetime
from typing import Any

from xds.rollout.observation import Counts, Latencies, Observation
from xds.rollout.plan import Plan, plan_of
from xds.rules.model import RuleDocument

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)  # a Wednesday
GOOD = Observation(
    Counts(2000, 1, Latencies.of([20.0] * 300)), Counts(20000, 10, Latencies.of([20.0] * 300)), proxies=2
)
BAD = Observation(
    Counts(2000, 200, Latencies.of([20.0] * 300)), Counts(20000, 10, Latencies.of([20.0] * 300)), proxies=2
)
QUIET = Observation(Counts(20, 0), Counts(400, 0), proxies=2)
SILENT = Observation()
DEAD = Observation(Counts(40, 40), Counts(800, 1), proxies=2)


def document(**rollout: Any) -> RuleDocument:
    enabled = rollout.pop("enabled", True)
    words = {
        "subset": "gray",
        "revision": "2.4.1",
        "steps": [{"weight": 5.0, "for": "1m"}, {"weight": 25.0, "for": "1m"}, {"weight": 100.0}],
        "analysis": {"interval": "30s", "successRate": {"min": 99.5}},
        **rollout,
    }
    return RuleDocument.model_validate(
        {
            "service": "reviews",
            "enabled": enabled,
            "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
            "baseline": "stable",
            "http": [
                {
                    "name": "ramp",
                    "route": [{"subset": "stable", "weight": 95}, {"subset": "gray", "weight": 5}],
                }
            ],
            "rollout": words,
        }
    )


def plan(**rollout: Any) -> Plan:
    made = plan_of(document(**rollout))
    assert made is not None
    return made
