"""What a rollout is to do: the document's ``rollout`` with everything that it leaves out filled in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from xds.rules.model import RuleDocument
from xds.rules.model.rollout import Analysis, Latency, Step, Webhook
from xds.rules.model.schedule import Schedule

_INTERVAL = timedelta(seconds=30)
_HOOK_TIMEOUT = timedelta(seconds=10)
_PARTS_PER_PERCENT = 100


class Record(BaseModel):
    """Base of what is kept of rollouts: frozen, and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Plan(Record):
    """The steps of one service's rollout, and what must hold.

    ``weights`` are the rule's other destinations with their weights: they share what the subset leaves.
    """

    service: str
    rule: str
    subset: str
    baseline: str
    revision: str
    steps: tuple[Step, ...]
    weights: Mapping[str, int]
    enabled: bool = True
    analysis: Analysis = Analysis()
    schedule: Schedule | None = None
    freeze: tuple[Schedule, ...] = ()
    on_failure: Literal["rollback", "pause"] = "rollback"

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it another release when it changes."""
        return self.rule, self.subset, self.revision

    @property
    def interval(self) -> timedelta:
        """The time between two looks."""
        return self.analysis.interval or _INTERVAL

    def lasts(self, step: int) -> timedelta:
        """Return how long a step is watched at least; by default one interval, the last step not at all."""
        given = self.steps[step].for_
        if given is not None:
            return given
        return timedelta() if step == len(self.steps) - 1 else self.interval

    def hooks(self, when: str) -> tuple[Webhook, ...]:
        """Return the webhooks of one occasion."""
        return tuple(hook for hook in self.analysis.webhooks if hook.when == when)

    def closed_because(self, now: datetime) -> str | None:
        """Say why a rollout may not advance now; None if it may."""
        if self.schedule and not self.schedule.holds(now):
            return f"outside the schedule{_until(self.schedule.next_change(now))}"
        for window in self.freeze:
            if window.holds(now):
                return f"frozen{_until(window.next_change(now))}"
        return None

    def split(self, weight: float) -> dict[str, int]:
        """Return the weights of the rule's destinations when the subset has ``weight`` percent."""
        whole = 100 * _PARTS_PER_PERCENT
        gray = round(weight * _PARTS_PER_PERCENT)
        others = sum(self.weights.values())
        shares = {subset: (whole - gray) * share for subset, share in self.weights.items()}
        return {**shares, self.subset: gray * others}


def plan_of(document: RuleDocument | None) -> Plan | None:
    """Return the plan of a valid document; None if it has no rollout."""
    if document is None or document.rollout is None or document.baseline is None:
        return None
    words = document.rollout
    rules = (rule for rule in document.http if len(rule.route) > 1)
    rule = next(rule for rule in rules if words.rule in {None, rule.name})
    others = {one.subset: one.weight or 0 for one in rule.route if one.subset != words.subset}
    if not any(others.values()):
        others = {document.baseline: 1}
    labels = document.subsets[words.subset].labels
    return Plan(
        service=document.service,
        rule=rule.name,
        subset=words.subset,
        baseline=document.baseline,
        revision=words.revision or ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
        steps=words.steps,
        weights=others,
        enabled=document.enabled,
        analysis=words.analysis or Analysis(),
        schedule=words.schedule,
        freeze=words.freeze,
        on_failure=words.on_failure,
    )


def quantiles(latency: Latency) -> dict[str, timedelta | None]:
    """Return the quantiles that are looked at, with their limits; p99 for a ratio alone."""
    given = {name: limit for name in ("p50", "p90", "p95", "p99") if (limit := getattr(latency, name))}
    return given or {"p99": None}


def hook_timeout(hook: Webhook) -> timedelta:
    """Return how long the answer of a webhook is waited for."""
    return hook.timeout or _HOOK_TIMEOUT


def _until(moment: datetime | None) -> str:
    return f" until {moment.isoformat(timespec='minutes')}" if moment else ""
