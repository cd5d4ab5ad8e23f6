"""Plays a rollout in virtual time: what the analysis would do with a release that behaves so and so."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from xds.rollout.machine import Command, IntervalSeen, PlanRead, advance
from xds.rollout.observation import Counts, Latencies, Observation
from xds.rollout.plan import Plan
from xds.rollout.state import Phase, State

_SAMPLE = 1000
"""Latencies drawn for an interval at most; more change nothing that one could see."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a version behaves: its share of errors, and the median of its latency in milliseconds.

    Latencies are lognormal; their p99 is about five times the median.
    """

    errors: float
    latency: float = 20.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What reaches the service: requests a second, and how baseline and subset answer them.

    ``errors_from`` is the weight at which the subset begins to behave as ``gray``; below it is as good as the
    baseline: some faults show only under load.
    """

    requests: float
    baseline: Behaviour
    gray: Behaviour
    errors_from: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The state at the end of an interval."""

    at: datetime
    state: State


def simulate(
    plan: Plan,
    traffic: Traffic,
    start: datetime,
    *,
    seed: int = 0,
    approve: bool = True,
    limit: int = 100_000,
) -> Iterator[Moment]:
    """Play a plan until it is promoted, rolled back or paused, or for ``limit`` intervals.

    Yield the state at the beginning and after each interval. With ``approve`` a step is approved as soon as
    it waits for nothing else. Webhooks agree; Prometheus queries give a value within their bounds.
    """
    chance = random.Random(seed)  # noqa: S311  # not for secrets
    now = start
    state, calls = advance(None, PlanRead(_without_webhooks(plan)), now)
    assert not calls
    yield Moment(now, state)
    for _ in range(limit):
        if state.phase in {Phase.PROMOTED, Phase.ROLLED_BACK, Phase.PAUSED, Phase.DISABLED}:
            return
        now += plan.interval
        state, _ = advance(state, IntervalSeen(_observation(plan, traffic, state.weight, chance)), now)
        step = state.plan.steps[state.step]
        if approve and state.phase is Phase.OBSERVING and step.approval and not state.approved:
            state, _ = advance(state, Command("approve", "simulation"), now)
        yield Moment(now, state)


def _without_webhooks(plan: Plan) -> Plan:
    return plan.model_copy(update={"analysis": plan.analysis.model_copy(update={"webhooks": ()})})


def _observation(plan: Plan, traffic: Traffic, weight: float, chance: random.Random) -> Observation:
    requests = _poisson(traffic.requests * plan.interval.total_seconds(), chance)
    gray = _binomial(requests, weight / 100, chance)
    behaviour = traffic.gray if weight >= traffic.errors_from else traffic.baseline
    return Observation(
        gray=_counts(gray, behaviour, chance),
        baseline=_counts(requests - gray, traffic.baseline, chance),
        proxies=1,
        prometheus={
            query.name: query.min if query.min is not None else query.max or 0.0
            for query in plan.analysis.prometheus
        },
    )


def _counts(requests: int, behaviour: Behaviour, chance: random.Random) -> Counts:
    median = math.log(behaviour.latency)
    latencies = (chance.lognormvariate(median, 0.7) for _ in range(min(requests, _SAMPLE)))
    return Counts(requests, _binomial(requests, behaviour.errors, chance), Latencies.of(latencies))


def _poisson(mean: float, chance: random.Random) -> int:
    return max(0, round(chance.gauss(mean, math.sqrt(mean)))) if mean > 0 else 0


def _binomial(trials: int, share: float, chance: random.Random) -> int:
    """Draw exactly for few trials or rare events; else by the normal approximation."""
    mean = trials * share
    if trials > 5000 and mean > 50 and trials - mean > 50:
        return min(trials, max(0, round(chance.gauss(mean, math.sqrt(mean * (1 - share))))))
    if share <= 0 or trials == 0:
        return 0
    if share >= 1:
        return trials
    # The gaps between events are geometric: as many draws as there are events.
    events, position, step = 0, 0, math.log1p(-share)
    while True:
        position += 1 + int(math.log(1.0 - chance.random()) / step)
        if position > trials:
            return events
        events += 1


def outcomes(plan: Plan, traffic: Traffic, start: datetime, runs: int) -> dict[Phase, int]:
    """Play a plan so many times with other chances each; count how it ended."""
    ends: dict[Phase, int] = {}
    for seed in range(runs):
        *_, last = simulate(plan, traffic, start, seed=seed, limit=2000)
        ends[last.state.phase] = ends.get(last.state.phase, 0) + 1
    return ends


def duration(moments: list[Moment]) -> timedelta:
    """Return how long what was played took."""
    return moments[-1].at - moments[0].at
