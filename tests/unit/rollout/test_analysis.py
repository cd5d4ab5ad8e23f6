from typing import Any

import pytest

from tests.unit.rollout.plans import BAD, DEAD, GOOD, NOW, QUIET, SILENT, plan
from xds.rollout.analysis import Evidence, Result, check_names, clear_failure, judge
from xds.rollout.observation import Counts, Latencies, Observation

FAST, SLOW = Latencies.of([20.0] * 2000), Latencies.of([20.0] * 1900 + [900.0] * 100)
DROP = {"successRate": {"maxDropFromBaseline": 0.5}}
P99 = {"latency": {"p99": "500ms"}}
RATIO = {"latency": {"maxRatioToBaseline": 1.5}}
QUERY = {"prometheus": [{"name": "errors", "query": "x", "max": 0.01}]}


@pytest.mark.parametrize(
    ("analysis", "seen", "result", "says"),
    [
        ({"successRate": {"min": 99.5}}, GOOD, Result.PASSED, "every check passed"),
        ({"successRate": {"min": 99.5}}, BAD, Result.FAILED, "200 of 2000 bad; at least 99.5 % must succeed"),
        ({"successRate": {"min": 99.5}}, QUIET, Result.TOO_FEW, "20 of 100 requests"),
        ({"successRate": {"min": 99.5}}, SILENT, Result.MISSING, "no proxy reported"),
        ({"successRate": {"min": 99.5}}, Observation(Counts(100, 1), proxies=1), Result.UNDECIDED, "to tell"),
        (DROP, GOOD, Result.PASSED, ""),
        (DROP, BAD, Result.FAILED, "which had 10 of 20000"),
        (DROP, Observation(Counts(2000, 200), Counts(20000, 2000), proxies=1), Result.PASSED, ""),
        (DROP, Observation(Counts(2000, 200), Counts(20, 0), proxies=1), Result.UNDECIDED, "to tell"),
        (P99, Observation(Counts(2000, 0, FAST), proxies=1), Result.PASSED, ""),
        (P99, Observation(Counts(2000, 0, SLOW), proxies=1), Result.FAILED, "p99 up to 500 ms"),
        (RATIO, Observation(Counts(2000, 0, FAST), Counts(2000, 0, FAST), proxies=1), Result.PASSED, ""),
        (RATIO, Observation(Counts(2000, 0, SLOW), Counts(2000, 0, FAST), proxies=1), Result.FAILED, "30 ms"),
        (RATIO, Observation(Counts(2000, 0, SLOW), Counts(2000, 0, SLOW), proxies=1), Result.PASSED, ""),
        (QUERY, Observation(Counts(100), proxies=1), Result.MISSING, "no value"),
        (QUERY, Observation(Counts(100), proxies=1, prometheus={"errors": 0.0}), Result.PASSED, ""),
        (
            QUERY,
            Observation(Counts(100), proxies=1, prometheus={"errors": 0.5}),
            Result.FAILED,
            "at most 0.01",
        ),
        (QUERY, Observation(Counts(9), proxies=1, prometheus={"errors": float("nan")}), Result.FAILED, "nan"),
    ],
)
def test_what_an_interval_shows(
    analysis: dict[str, Any], seen: Observation, result: Result, says: str
) -> None:
    _, verdict = judge(plan(analysis=analysis), 5, {}, seen)
    assert verdict.result is result
    assert says in verdict.why


def test_intervals_add_up_until_they_show_something() -> None:
    evidence: dict[str, Evidence] = {}
    results = []
    for _ in range(8):
        evidence, verdict = judge(plan(), 5, evidence, Observation(Counts(100, 0), proxies=1))
        results.append(verdict.result)
    assert results == [*[Result.UNDECIDED] * 5, Result.PASSED, *[Result.UNDECIDED] * 2]


def test_too_few_requests_never_pass_and_fail_when_enough_came_together() -> None:
    evidence: dict[str, Evidence] = {}
    few = Observation(Counts(40, 0), proxies=1)
    for _ in range(50):
        evidence, verdict = judge(plan(), 5, evidence, few)
        assert verdict.result is Result.TOO_FEW
    assert not evidence["successRate.min"].passed
    evidence = {}
    failing = Observation(Counts(40, 4), proxies=1)
    results = []
    for _ in range(3):
        evidence, verdict = judge(plan(), 5, evidence, failing)
        results.append(verdict.result)
    assert results == [Result.TOO_FEW, Result.TOO_FEW, Result.FAILED]


def test_at_100_percent_there_is_nothing_to_compare_with() -> None:
    _, verdict = judge(plan(analysis=DROP | RATIO), 100, {}, Observation(Counts(500, 50, FAST), proxies=1))
    assert verdict.result is Result.PASSED


def test_a_clear_failure_is_that_of_gray_alone() -> None:
    assert clear_failure(plan(), DEAD)
    assert not clear_failure(plan(), BAD)
    assert not clear_failure(plan(), Observation(Counts(40, 40), Counts(800, 700), proxies=1))


def test_every_check_has_a_name() -> None:
    analysis = {
        "successRate": {"min": 99.0, "maxDropFromBaseline": 1.0},
        "latency": {"p50": "50ms", "p99": "1s", "maxRatioToBaseline": 2.0},
        **QUERY,
    }
    made = plan(analysis=analysis)
    evidence, verdict = judge(made, 5, {}, GOOD)
    assert [check.name for check in verdict.checks] == list(check_names(made)) == list(evidence)
    assert len(evidence) == 7
    assert NOW.tzinfo


def test_a_quantile_is_right_to_two_percent() -> None:
    latencies = Latencies.of(range(1, 1001))
    for share in (0.5, 0.9, 0.99, 1.0):
        assert latencies.quantile(share) == pytest.approx(1000 * share, rel=0.021)
    assert latencies.slower_than(500) == pytest.approx(500, abs=11)
    assert (latencies + latencies).count == 2000
