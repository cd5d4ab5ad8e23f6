"""Rollouts as the API shows them."""

from collections.abc import Iterable
from datetime import timedelta

from xds.http.api.backend import Conflict
from xds.http.api.models import Rollout, RolloutSample, RolloutSummary
from xds.rollout import Command, CommandRefusedError, Rollouts, Sample, State
from xds.rollout.observation import Counts
from xds.rollout.state import Past
from xds.rollout.store import StoreError
from xds.routing import Overrides
from xds.rules.instance import ServiceId


def overrides_of(rollouts: Rollouts, service: ServiceId) -> Overrides:
    """Return the weights that a rollout has put in force; none without a rollout."""
    try:
        state = rollouts.state(service)
    except KeyError:
        return Overrides()
    return Overrides(weights={state.plan.rule: state.plan.split(state.weight)})


def summary_of(service: ServiceId, state: State) -> RolloutSummary:
    """Return a rollout for a list."""
    return RolloutSummary(
        namespace=service.namespace,
        service=service.name,
        revision=state.plan.revision,
        phase=state.phase.value,
        step=state.step + 1,
        of=len(state.plan.steps),
        weight=state.weight,
        since=state.since,
        verdict=str(state.verdict.result) if state.verdict else "",
        why=state.why or (state.verdict.why if state.verdict else ""),
    )


def rollout_of(rollouts: Rollouts, service: ServiceId) -> Rollout:
    """Return a rollout with its numbers. Raise ``KeyError`` if there is none."""
    state = rollouts.state(service)
    return Rollout(
        **summary_of(service, state).model_dump(by_alias=False),
        steps=list(_steps(state)),
        samples=[_sample(sample) for sample in rollouts.samples(service)],
        actions=rollouts.commands(service),
        history=[_past(service, past) for past in reversed(state.history)],
    )


async def act(rollouts: Rollouts, service: ServiceId, command: Command) -> None:
    """Do what somebody wants. Raise ``KeyError`` without a rollout, ``Conflict`` if it cannot be done now."""
    rollouts.state(service)
    try:
        await rollouts.act(service, command)
    except (CommandRefusedError, StoreError) as error:
        raise Conflict(str(error)) from error


def _steps(state: State) -> Iterable[str]:
    for step in state.plan.steps:
        lasts = f" for {_duration(step.for_)}" if step.for_ else ""
        yield f"{step.weight:g} %{lasts}{', approval' if step.approval else ''}"


def _duration(time: timedelta) -> str:
    """Write a duration as documents do: ``1h30m``."""
    seconds = time.total_seconds()
    hours, minutes, rest = int(seconds // 3600), int(seconds % 3600 // 60), seconds % 60
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{value:g}{unit}" for value, unit in parts if value)


def _sample(sample: Sample) -> RolloutSample:
    return RolloutSample(
        at=sample.at,
        weight=sample.weight,
        gray_requests=sample.gray.uses,
        gray_success=_success(sample.gray),
        baseline_success=_success(sample.baseline),
        gray_p99=_p99(sample.gray),
        baseline_p99=_p99(sample.baseline),
    )


def _success(counts: Counts) -> float | None:
    return round(100 * (1 - counts.errors / counts.requests), 3) if counts.requests else None


def _p99(counts: Counts) -> float | None:
    """Return the 99th percentile, in seconds."""
    return round(counts.latencies.quantile(0.99) / 1000, 4) if counts.latencies.count else None


def _past(service: ServiceId, past: Past) -> RolloutSummary:
    errors = f"{past.errors} of {past.requests} requests failed"
    return RolloutSummary(
        namespace=service.namespace,
        service=service.name,
        revision=past.revision,
        phase=past.phase.value,
        step=0,
        of=0,
        weight=past.weight,
        since=past.began,
        verdict=errors if past.requests else "",
        why=past.why,
    )
