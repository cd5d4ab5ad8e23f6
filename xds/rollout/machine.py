"""The state machine of a rollout: a state and an event, at a time, make a new state and webhooks to call.

It reads no clock and does no I/O. Time counts as observed only as an interval that was judged, so time that
passes while nobody looks does not. What it does is kept before it takes effect (``xds.rollout.decisions``): a
state that is read again goes on where it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xds.rollout import analysis
from xds.rollout.analysis import Result
from xds.rollout.observation import Observation
from xds.rollout.plan import Plan
from xds.rollout.relocation import relocate
from xds.rollout.state import TRANSITIONS, UNDER_WAY, LogEntry, Past, Phase, State, Trigger
from xds.rules.model.rollout import Webhook

_LOG = 100
_HISTORY = 20


@dataclass(frozen=True, slots=True)
class PlanRead:
    """The document of the service was read: at first, and whenever it changed.

    None: there is no rollout in it any more.
    """

    plan: Plan | None


@dataclass(frozen=True, slots=True)
class IntervalSeen:
    """An interval of the plan is over."""

    seen: Observation


@dataclass(frozen=True, slots=True)
class PartSeen:
    """What an interval that is not over has shown so far: only a clear failure counts."""

    seen: Observation


@dataclass(frozen=True, slots=True)
class HookAnswered:
    """A webhook answered, or did not in time; ``serial`` is that of its call."""

    name: str
    serial: int
    agrees: bool
    says: str


@dataclass(frozen=True, slots=True)
class InstancesGone:
    """The subset has no serving instance left."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a person wants: ``word`` is approve, promote, pause, resume, abort or retry."""

    word: str
    by: str
    source: str = ""
    why: str = ""


RolloutEvent = PlanRead | IntervalSeen | PartSeen | HookAnswered | InstancesGone | Command


@dataclass(frozen=True, slots=True)
class Call:
    """A webhook to call now."""

    hook: Webhook
    serial: int


class CommandRefusedError(Exception):
    """The rollout cannot do what a person wants; the text says why, and what it could."""


def advance(state: State | None, event: RolloutEvent, now: datetime) -> tuple[State, tuple[Call, ...]]:
    """Take in an event; None is the state of a service whose rollout was never seen.

    Raise ``CommandRefusedError`` for a command that does not fit.
    """
    if state is None:
        if not isinstance(event, PlanRead) or event.plan is None:
            raise CommandRefusedError("there is no rollout of this service")
        state = _begun(event.plan, now)
        return _settled(state, now)
    handler: Callable[[State, Any, datetime], State] = _HANDLERS[type(event)]
    before = state
    state = handler(state, event, now)
    after, calls = _settled(state, now)
    if after.phase is Phase.ROLLED_BACK and before.phase is not Phase.ROLLED_BACK:
        calls = tuple(Call(hook, after.serial) for hook in after.plan.hooks("on-rollback"))
    return after, calls


def due(state: State) -> tuple[Call, ...]:
    """Return the webhooks that were called and have not agreed yet: to call again after a restart."""
    if not state.asked:
        return ()
    when = {Phase.ENTERING: "before-step", Phase.LEAVING: "after-step"}[state.phase]
    hooks = state.plan.hooks(when)
    return tuple(Call(hook, state.serial) for hook in hooks if hook.name not in state.answered)


def _go(state: State, trigger: Trigger, why: str, now: datetime, **changes: Any) -> State:
    """Make a transition of the table, and record it."""
    return _noted(state, TRANSITIONS[state.phase][trigger], trigger.value, why, now, **changes)


def _noted(state: State, phase: Phase, what: str, why: str, now: datetime, **changes: Any) -> State:
    weight = 0 if phase in {Phase.ROLLED_BACK, Phase.DISABLED} else changes.pop("weight", state.weight)
    by, source = changes.pop("by", ""), changes.pop("source", "")
    entry = LogEntry(at=now, what=what, why=why, weight=weight, by=by, source=source)
    return state.model_copy(
        update={
            "phase": phase,
            "why": why,
            "since": now,
            "serial": state.serial + 1,
            "weight": weight,
            "asked": False,
            "answered": frozenset(),
            "log": (*state.log[-_LOG + 1 :], entry),
            **changes,
        }
    )


_FRESH: Mapping[str, Any] = {"observed": 0.0, "approved": False, "evidence": {}, "verdict": None}
"""What a step begins with."""


def _begun(plan: Plan, now: datetime, before: State | None = None) -> State:
    phase = Phase.ENTERING if plan.enabled else Phase.DISABLED
    state = State(plan=plan, phase=phase, why="", since=now, began=now)
    if before is not None:
        again = before.plan.identity == plan.identity
        state = state.model_copy(
            update={
                "attempt": before.attempt + 1 if again else 1,
                "serial": before.serial + 1,
                "log": before.log,
                "history": (*before.history[-_HISTORY + 1 :], _past(before, now)),
            }
        )
    why = f"revision {plan.revision}" if plan.enabled else "the document says enabled: false"
    return _noted(state, phase, "begin", why, now)


def _past(state: State, now: datetime) -> Past:
    return Past(
        revision=state.plan.revision,
        attempt=state.attempt,
        phase=state.phase,
        began=state.began,
        ended=now,
        weight=state.weight,
        why=state.why,
        requests=state.requests,
        errors=state.errors,
    )


def _plan_read(state: State, event: PlanRead, now: datetime) -> State:
    plan, old = event.plan, state.plan
    if plan == old:
        return state
    if plan is None or not plan.enabled:
        return _disabled(state, plan, now)
    if state.phase is Phase.DISABLED or plan.identity != old.identity:
        return _begun(plan, now, state)
    followed = state.model_copy(update={"plan": plan})
    if state.phase is Phase.ROLLED_BACK:
        return followed.model_copy(update={"step": min(state.step, len(plan.steps) - 1)})
    if (plan.steps, plan.analysis) == (old.steps, old.analysis):
        return followed
    if plan.steps != old.steps:
        return _steps_edited(followed, old, now)
    said = "the analysis was edited: what the checks saw so far does not count any more"
    return _noted(followed, state.phase, "edit", said, now, evidence={}, verdict=None)


def _disabled(state: State, plan: Plan | None, now: datetime) -> State:
    why = "the document says enabled: false" if plan else "it was taken out of the document"
    plan = plan or state.plan.model_copy(update={"enabled": False})
    kept = {"plan": plan, "step": min(state.step, len(plan.steps) - 1)}
    if state.phase is Phase.DISABLED:
        return state.model_copy(update=kept)
    return _go(state, Trigger.DISABLE, why, now, **kept)


def _steps_edited(state: State, old: Plan, now: datetime) -> State:
    place = relocate(old.steps, state.step, state.phase, state.weight, state.plan.steps)
    if place is None:
        return _begun(state.plan, now, state)
    kept = {"step": place.step, "weight": place.weight, "forced": False}
    if place.same:
        evidence = {} if state.plan.analysis != old.analysis else state.evidence
        return _noted(state, state.phase, "edit", place.says, now, **kept, evidence=evidence)
    if state.phase is Phase.PAUSED:
        return _noted(state, Phase.PAUSED, "edit", place.says, now, **_FRESH, **kept)
    return _go(state, Trigger.MOVE, place.says, now, **_FRESH, **kept)


def _interval_seen(state: State, event: IntervalSeen, now: datetime) -> State:
    if state.phase not in UNDER_WAY or state.weight == 0:
        return state
    plan, seen = state.plan, event.seen
    evidence, verdict = analysis.judge(plan, state.weight, state.evidence, seen)
    counts = verdict.result in {Result.PASSED, Result.UNDECIDED} and state.phase is Phase.OBSERVING
    state = state.model_copy(
        update={
            "evidence": evidence,
            "verdict": verdict,
            "observed": state.observed + plan.interval.total_seconds() * counts,
            "requests": state.requests + seen.gray.requests,
            "errors": state.errors + seen.gray.errors,
        }
    )
    if clear := analysis.clear_failure(plan, seen):
        return _failed(state, clear, now)
    limit = plan.analysis.failure_limit
    over = [check for check in verdict.checks if evidence[check.name].failures >= limit]
    if verdict.result is Result.FAILED and over:
        said = "; ".join(f"{check.name} failed {limit} times in a row: {check.says}" for check in over)
        return _failed(state, said, now)
    return state


def _part_seen(state: State, event: PartSeen, now: datetime) -> State:
    if state.phase not in UNDER_WAY or state.weight == 0:
        return state
    clear = analysis.clear_failure(state.plan, event.seen)
    return _failed(state, clear, now) if clear else state


def _instances_gone(state: State, _: InstancesGone, now: datetime) -> State:
    if state.phase not in UNDER_WAY or state.weight == 0:
        return state
    return _failed(state, f"{state.plan.subset} has no serving instance", now)


def _failed(state: State, why: str, now: datetime) -> State:
    if state.plan.on_failure == "rollback":
        return _go(state, Trigger.FAIL, why, now)
    if state.phase is Phase.PAUSED:
        return state
    return _go(state, Trigger.HALT, why, now, evidence={})


def _hook_answered(state: State, event: HookAnswered, now: datetime) -> State:
    waiting = state.asked and state.phase in {Phase.ENTERING, Phase.LEAVING}
    if not waiting or event.serial != state.serial:
        return state  # the answer to a call of an earlier phase
    if not event.agrees:
        return _failed(state, f"webhook {event.name}: {event.says}", now)
    return state.model_copy(update={"answered": state.answered | {event.name}})


def _command(state: State, event: Command, now: datetime) -> State:
    trigger = Trigger(event.word)
    if trigger is Trigger.RESUME and not _entered(state):
        trigger = Trigger.RESUME_ENTERING
    if trigger not in TRANSITIONS[state.phase]:
        can = [word for word in COMMANDS if Trigger(word) in TRANSITIONS[state.phase]]
        able = f"it can {', '.join(can)}" if can else "it can do nothing"
        raise CommandRefusedError(f"the rollout is {state.phase.value}: it cannot {event.word}; {able}")
    who: dict[str, Any] = {"by": event.by, "source": event.source}
    why = event.why or f"{event.word} by {event.by}"
    match trigger:
        case Trigger.RETRY:
            begun = _begun(state.plan, now, state)
            return _noted(begun, begun.phase, event.word, why, now, **who)
        case Trigger.PROMOTE:
            if closed := state.plan.closed_because(now):
                raise CommandRefusedError(f"a rollout never goes on {closed}")
            last = len(state.plan.steps) - 1
            return _go(state, trigger, why, now, **_FRESH, **who, step=last, forced=True)
        case Trigger.APPROVE:
            if not state.plan.steps[state.step].approval:
                raise CommandRefusedError(f"step {state.step + 1} needs no approval")
            return _go(state, trigger, why, now, **who, approved=True)
        case Trigger.RESUME | Trigger.RESUME_ENTERING:
            return _go(state, trigger, why, now, **who, evidence={}, verdict=None)
        case _:
            return _go(state, trigger, why, now, **who)


COMMANDS = ("approve", "promote", "pause", "resume", "abort", "retry")
"""What a person can say."""

_HANDLERS: Mapping[type, Callable[[State, Any, datetime], State]] = {
    PlanRead: _plan_read,
    IntervalSeen: _interval_seen,
    PartSeen: _part_seen,
    HookAnswered: _hook_answered,
    InstancesGone: _instances_gone,
    Command: _command,
}


def _entered(state: State) -> bool:
    return state.weight == state.plan.steps[state.step].weight


def _settled(state: State, now: datetime) -> tuple[State, tuple[Call, ...]]:
    """Go on as far as nothing stands in the way."""
    while True:
        before = state
        match state.phase:
            case Phase.ENTERING:
                state = _enter(state, now)
            case Phase.OBSERVING:
                state = _finish_step(state, now)
            case Phase.LEAVING:
                state = _leave(state, now)
            case _:
                return state, ()
        if state is before or state.phase is before.phase:
            asks = state.asked and not before.asked
            return state, due(state) if asks else ()


def _enter(state: State, now: datetime) -> State:
    if closed := state.plan.closed_because(now):
        return _waits(state, closed)
    if state.weight > 0 and not state.forced and (against := _against(state)):
        return _waits(state, against)
    if pending := _pending(state, "before-step"):
        return _ask(state, pending)
    weight = state.plan.steps[state.step].weight
    total = len(state.plan.steps)
    why = f"step {state.step + 1} of {total}: {weight:g} %"
    return _go(state, Trigger.ENTER, why, now, **_FRESH, weight=weight)


def _finish_step(state: State, now: datetime) -> State:
    if state.forced:
        return _go(state, Trigger.DONE, f"step {state.step + 1} is not waited for", now)
    step = state.plan.steps[state.step]
    lasts = state.plan.lasts(state.step).total_seconds()
    if lasts and (against := _against(state)):
        return _waits(state, against)
    if state.observed < lasts:
        return _waits(state, f"observed {state.observed:g} of {lasts:g} seconds")
    if step.approval and not state.approved:
        return _waits(state, f"step {state.step + 1} waits for approval")
    return _go(state, Trigger.DONE, f"step {state.step + 1} is done", now)


def _leave(state: State, now: datetime) -> State:
    if pending := _pending(state, "after-step"):
        return _ask(state, pending)
    if state.step == len(state.plan.steps) - 1:
        return _go(state, Trigger.FINISH, f"all {state.step + 1} steps are done", now, forced=False)
    return _go(state, Trigger.NEXT, f"wants to enter step {state.step + 2}", now, step=state.step + 1)


def _against(state: State) -> str | None:
    """Say what the analysis has against going on."""
    if state.verdict is None:
        return "no interval has been seen yet"
    if state.verdict.result not in {Result.PASSED, Result.UNDECIDED}:
        return state.verdict.why
    return None if analysis.passed(state.plan, state.evidence) else state.verdict.why


def _pending(state: State, when: str) -> tuple[str, ...]:
    return tuple(hook.name for hook in state.plan.hooks(when) if hook.name not in state.answered)


def _ask(state: State, pending: tuple[str, ...]) -> State:
    return state.model_copy(update={"asked": True, "why": f"waits for webhooks: {', '.join(pending)}"})


def _waits(state: State, why: str) -> State:
    return state if state.why == why else state.model_copy(update={"why": why})
