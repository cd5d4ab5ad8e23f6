"""The splits of a service that are in force, and how they were before."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import datetime

from xds.http.api.models import Split, SplitChange
from xds.routing import Overrides, weights_in_force
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import NO_FALLBACK, HttpRule, RuleDocument

_KEPT = 50


def splits_in_force(
    rule: RuleDocument | None, overrides: Overrides, instances: Iterable[Instance]
) -> tuple[Split, ...]:
    """Return the split of each rule that has one, in percent.

    The share of a subset without an instance that serves is counted where it goes. The baseline comes last.
    """
    if rule is None or not rule.enabled:
        return ()
    serving = tuple(instance for instance in instances if instance.serving)
    there = {
        name
        for name, subset in rule.subsets.items()
        if any(subset.selects(instance.metadata) for instance in serving)
    }
    instead = weights_in_force(rule, overrides)
    found = []
    for http in rule.http:
        weights = instead.get(http.name) or {each.subset: each.weight or 0 for each in http.route}
        if len(weights) > 1 and (total := sum(weights.values())):
            shares: Counter[str] = Counter()
            for subset, weight in weights.items():
                shares[subset if subset in there else _fallback(rule, http) or subset] += weight
            ordered = sorted(shares, key=lambda subset: (subset == rule.baseline, subset))
            percent = {subset: round(100 * shares[subset] / total, 4) for subset in ordered}
            found.append(Split(rule=http.name, weights=percent))
    return tuple(found)


def _fallback(rule: RuleDocument, http: HttpRule) -> str | None:
    fallback = http.fallback or rule.baseline
    return None if fallback == NO_FALLBACK else fallback


class SplitHistory:
    """The last changes of the splits of each service, since this server started."""

    def __init__(self) -> None:
        # By service, the last ones. Written by ``record``.
        self._changes: dict[ServiceId, deque[SplitChange]] = {}

    def record(self, service: ServiceId, splits: Sequence[Split], at: datetime) -> bool:
        """Note the splits of a service; return whether they changed."""
        changes = self._changes.get(service)
        if changes is None:
            if not splits:
                return False
            changes = self._changes[service] = deque(maxlen=_KEPT)
        if changes and tuple(changes[-1].splits) == tuple(splits):
            return False
        changes.append(SplitChange(at=at, splits=tuple(splits)))
        return True

    def of(self, service: ServiceId) -> Sequence[SplitChange]:
        """Return the changes of a service, oldest first."""
        return tuple(self._changes.get(service, ()))
