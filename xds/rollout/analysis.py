"""What an interval shows: each check of a plan, judged on what was seen since its last verdict.

Success rates and latencies are both shares of bad requests (an error; an answer slower than the limit), and
``xds.rollout.sequential_test`` judges them. A comparison with the baseline takes its limit from the baseline
over the same intervals.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from xds.rollout.observation import Counts, Latencies, Observation
from xds.rollout.plan import Plan, Record, quantiles
from xds.rollout.sequential_test import Shown, is_clear, shown, upper_bound
from xds.rules.model.rollout import PrometheusCheck

_CLEAR_LIMIT = 0.05
"""The share of errors that counts as within the limits of a plan that gives none, for clear failures."""


class Result(StrEnum):
    """What became of a check, or of all of them, in an interval."""

    PASSED = "Passed"
    UNDECIDED = "Undecided"
    """Too little was seen since the last verdict to tell good from bad."""
    FAILED = "Failed"
    TOO_FEW = "TooFewRequests"
    """Fewer than ``minRequests``."""
    MISSING = "Missing"
    """Something was not answered: no proxy reported, a query has no value."""


class Evidence(Record):
    """What a check has seen since its last verdict, and its verdicts in this step.

    ``failures`` counts those in a row.
    """

    requests: int = 0
    bad: int = 0
    baseline_requests: int = 0
    baseline_bad: int = 0
    failures: int = 0
    passed: bool = False


class Check(Record):
    """What a check says in an interval, in words for the author."""

    name: str
    result: Result
    says: str


class Verdict(Record):
    """What all checks say of an interval together."""

    result: Result
    why: str
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sample:
    """Bad requests of an interval, and the share of them that is allowed."""

    requests: int
    bad: int
    limit: float
    says: str
    baseline: Counts | None = None
    """For a comparison of errors: ``limit`` is then on top of its share of errors."""


def check_names(plan: Plan) -> tuple[str, ...]:
    """Return the names of a plan's checks."""
    names = []
    wanted = plan.analysis.success_rate
    if wanted and wanted.min is not None:
        names.append("successRate.min")
    if wanted and wanted.max_drop_from_baseline is not None:
        names.append("successRate.maxDropFromBaseline")
    if latency := plan.analysis.latency:
        for quantile, limit in quantiles(latency).items():
            names += [f"latency.{quantile}"] if limit else []
            names += [f"latency.{quantile}.maxRatioToBaseline"] if latency.max_ratio_to_baseline else []
    return (*names, *(f"prometheus.{query.name}" for query in plan.analysis.prometheus))


def judge(
    plan: Plan, weight: float, evidence: Mapping[str, Evidence], seen: Observation
) -> tuple[dict[str, Evidence], Verdict]:
    """Judge an interval in which the subset had ``weight`` percent. Return the evidence from now on."""
    names = check_names(plan)
    kept = {name: evidence.get(name, Evidence()) for name in names}
    if seen.proxies == 0:
        return kept, Verdict(result=Result.MISSING, why="no proxy reported")
    enough = seen.gray.uses >= plan.analysis.min_requests
    checks = []
    for name, sample in _samples(plan, weight, seen):
        kept[name], check = _weigh(name, sample, kept[name], plan.analysis.min_requests, enough=enough)
        checks.append(check)
    for query in plan.analysis.prometheus:
        name = f"prometheus.{query.name}"
        kept[name], check = _query(query, name, seen.prometheus.get(query.name), kept[name])
        checks.append(check)
    return kept, _verdict(tuple(checks), plan, seen.gray, enough=enough)


def clear_failure(plan: Plan, seen: Observation) -> str | None:
    """Say so if most requests to the subset fail beyond any doubt, and those to the baseline do not."""
    gray, baseline = seen.gray, seen.baseline
    wanted = plan.analysis.success_rate
    limit = 1 - wanted.min / 100 if wanted and wanted.min is not None else _CLEAR_LIMIT
    if baseline.errors * 2 >= baseline.requests > 0 or not is_clear(gray.errors, gray.requests, limit):
        return None
    return (
        f"clear failure: {gray.errors} of {gray.requests} requests to {plan.subset} failed; "
        f"of the baseline's, {baseline.errors} of {baseline.requests}"
    )


def passed(plan: Plan, evidence: Mapping[str, Evidence]) -> bool:
    """Whether every check has passed in this step, and has not failed since."""
    return all(
        (one := evidence.get(name, Evidence())).passed and not one.failures for name in check_names(plan)
    )


def _samples(plan: Plan, weight: float, seen: Observation) -> Iterator[tuple[str, _Sample]]:
    gray, baseline = seen.gray, seen.baseline
    wanted = plan.analysis.success_rate
    if wanted and wanted.min is not None:
        yield (
            "successRate.min",
            _Sample(
                gray.requests, gray.errors, 1 - wanted.min / 100, f"at least {wanted.min:g} % must succeed"
            ),
        )
    if wanted and wanted.max_drop_from_baseline is not None:
        drop = wanted.max_drop_from_baseline
        compared = Counts() if weight >= 100 else baseline
        says = f"success may be {drop:g} points below the baseline's"
        limit = 1.0 if weight >= 100 else drop / 100  # at 100 % there is no baseline to compare with
        yield (
            "successRate.maxDropFromBaseline",
            _Sample(gray.requests, gray.errors, limit, says, None if weight >= 100 else compared),
        )
    if latency := plan.analysis.latency:
        for quantile, given in quantiles(latency).items():
            share = int(quantile[1:]) / 100
            if given is not None:
                limit = given.total_seconds() * 1000
                yield (
                    f"latency.{quantile}",
                    _slow(gray.latencies, limit, share, f"{quantile} up to {limit:g} ms"),
                )
            if latency.max_ratio_to_baseline is not None:
                ratio = latency.max_ratio_to_baseline
                sample = _slower(plan, gray.latencies, baseline.latencies, ratio, share, alone=weight >= 100)
                yield f"latency.{quantile}.maxRatioToBaseline", sample


def _slow(latencies: Latencies, limit: float, share: float, says: str) -> _Sample:
    return _Sample(latencies.count, latencies.slower_than(limit), 1 - share, says)


def _slower(
    plan: Plan, gray: Latencies, baseline: Latencies, ratio: float, share: float, *, alone: bool
) -> _Sample:
    """Compare with the baseline's quantile in this interval, taken at the upper bound of its rank."""
    says = f"p{share * 100:g} up to {ratio:g} times the baseline's"
    if alone:
        return _Sample(gray.count, 0, 1.0, says)
    if baseline.count < plan.analysis.min_requests:
        return _Sample(0, 0, 1 - share, f"{says}, of which there are too few answers")
    rank = upper_bound(round(share * baseline.count), baseline.count)
    limit = baseline.quantile(rank) * ratio
    return _slow(gray, limit, share, f"{says}, {limit:.0f} ms")


def _weigh(
    name: str, sample: _Sample, before: Evidence, min_requests: int, *, enough: bool
) -> tuple[Evidence, Check]:
    seen = before.model_copy(
        update={
            "requests": before.requests + sample.requests,
            "bad": before.bad + sample.bad,
            "baseline_requests": before.baseline_requests
            + (sample.baseline.requests if sample.baseline else 0),
            "baseline_bad": before.baseline_bad + (sample.baseline.errors if sample.baseline else 0),
        }
    )
    says = f"{seen.bad} of {seen.requests} bad; {sample.says}"
    if sample.limit >= 1:
        return Evidence(passed=True), Check(
            name=name, result=Result.PASSED, says="there is no baseline at 100 %"
        )
    limit, lenient = sample.limit, sample.limit
    if sample.baseline is not None:
        if seen.baseline_requests < min_requests:
            return seen, Check(name=name, result=Result.UNDECIDED, says=f"{says}; the baseline had too few")
        limit = min(1.0, limit + seen.baseline_bad / seen.baseline_requests)
        lenient = min(1.0, lenient + upper_bound(seen.baseline_bad, seen.baseline_requests))
        says += f", which had {seen.baseline_bad} of {seen.baseline_requests}"
    if seen.requests < min_requests:
        return seen, Check(name=name, result=Result.UNDECIDED, says=says)
    match shown(seen.bad, seen.requests, limit=limit, lenient_limit=lenient):
        case Shown.BAD:
            failed = Evidence(failures=before.failures + 1)
            return failed, Check(name=name, result=Result.FAILED, says=says)
        case Shown.GOOD if enough:
            return Evidence(passed=True), Check(name=name, result=Result.PASSED, says=says)
        case _:
            return seen, Check(name=name, result=Result.UNDECIDED, says=says)


def _query(
    query: PrometheusCheck, name: str, value: float | None, before: Evidence
) -> tuple[Evidence, Check]:
    if value is None:
        return before, Check(name=name, result=Result.MISSING, says="the query has no value")
    low, high = query.min, query.max
    bounds = " and ".join(
        ([f"at least {low:g}"] if low is not None else [])
        + ([f"at most {high:g}"] if high is not None else [])
    )
    says = f"{value:g}; must be {bounds}"
    # Written so that NaN fails.
    if (low is None or value >= low) and (high is None or value <= high):
        return Evidence(passed=True), Check(name=name, result=Result.PASSED, says=says)
    return Evidence(failures=before.failures + 1), Check(name=name, result=Result.FAILED, says=says)


def _verdict(checks: tuple[Check, ...], plan: Plan, gray: Counts, *, enough: bool) -> Verdict:
    few = f"{gray.uses} of {plan.analysis.min_requests} requests in the interval: too few"
    for result in (Result.FAILED, Result.MISSING):
        if concerned := [check for check in checks if check.result is result]:
            why = "; ".join(f"{check.name}: {check.says}" for check in concerned)
            return Verdict(result=result, why=why, checks=checks)
    if not enough:
        return Verdict(result=Result.TOO_FEW, why=few, checks=checks)
    if undecided := [check.name for check in checks if check.result is Result.UNDECIDED]:
        why = f"not enough requests yet to tell: {', '.join(undecided)}"
        return Verdict(result=Result.UNDECIDED, why=why, checks=checks)
    return Verdict(result=Result.PASSED, why="every check passed", checks=checks)
