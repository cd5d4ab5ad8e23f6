"""Flags: what the rules of a service decide, in the words of OpenFeature."""

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from xds.http.ofrep.context import Context, identities_of
from xds.pipeline import Pipeline
from xds.routing import Choice, Evaluation, Forward, Outcome, Routing, evaluate
from xds.routing.predicates import Identity
from xds.rules.instance import ServiceId

OptionT = TypeVar("OptionT")

_MOST_COUNTED = 1000
"""Flags and variants that are counted each by itself; what is beyond them is counted together."""
_OTHERS = ("other", "other")


@dataclass(frozen=True, slots=True)
class FlagSource:
    """Where flags come from.

    ``services`` are those with a rule document. ``routing`` says what is decided for one of them now, and
    ``revision`` by which version of its document; ``enabled`` is False while its rules rest. ``version``
    changes whenever any of that may have. ``region_header`` is the header that rules read a region from.
    """

    services: Callable[[], Iterable[ServiceId]]
    routing: Callable[[ServiceId], Routing]
    revision: Callable[[ServiceId], str]
    enabled: Callable[[ServiceId], bool]
    version: Callable[[], str]
    region_header: str


def flag_source(pipeline: Pipeline, changes: Callable[[], int], region_header: str) -> FlagSource:
    """Return the flags of the rule documents in force; ``changes`` counts how often services changed."""
    documents = pipeline.documents
    # Whoever kept an answer of an earlier run must not take it for one of this.
    run = secrets.token_hex(4)

    def enabled(service: ServiceId) -> bool:
        rule = documents.rule(service)
        return rule is not None and rule.enabled

    return FlagSource(
        services=documents.services,
        routing=pipeline.routing,
        revision=lambda service: documents.origins(service)[0].revision,
        enabled=enabled,
        version=lambda: f"{run}-{changes()}",
        region_header=region_header,
    )


class Flags:
    """Evaluates flags. ``exposure`` counts the answers by flag and variant, for metrics.

    ``exposed`` is told the service and the variant of each, for rollouts.
    """

    def __init__(
        self,
        source: FlagSource,
        chance: Callable[[], float] = random.random,
        exposed: Callable[[ServiceId, str], None] = lambda *_: None,
    ) -> None:
        self._source = source
        self._chance = chance
        self._exposed = exposed
        # The version of the source that ``_routings`` is of. Written by ``_routing``.
        self._version = ""
        # Of services asked for in this version, with what their rules identify users by.
        self._routings: dict[ServiceId, tuple[Routing, tuple[Identity, ...]]] = {}
        self.exposure: Counter[tuple[str, str]] = Counter()

    @property
    def version(self) -> str:
        """A text that changes whenever the answer to a context may."""
        return self._source.version()

    def keys(self, namespace: str) -> list[str]:
        """Return the keys of all flags of a namespace, in order."""
        return [
            key
            for service in sorted(self._source.services())
            if service.namespace == namespace
            for key in self._keys_of(service)
        ]

    def evaluate(self, namespace: str, key: str, context: Context) -> dict[str, Any]:
        """Evaluate a flag as an OFREP answer. Raise ``KeyError`` if there is no such flag."""
        name, slash, rule = key.partition("/")
        service = ServiceId(namespace, name)
        routing, identities = self._routing(service)
        if slash and not any(decision.name == rule for decision in routing.decisions):
            raise KeyError(key)
        decided = evaluate(routing, context.completed(identities))
        outcome, choice, variant = self._chosen(routing, decided)
        is_gray = outcome.decision.name == rule and variant != routing.baseline
        counted = key, variant
        if counted not in self.exposure and len(self.exposure) >= _MOST_COUNTED:
            counted = _OTHERS
        self.exposure[counted] += 1
        self._exposed(service, variant)
        metadata: dict[str, str | float] = {
            "rule": outcome.decision.name,
            "revision": self._source.revision(service),
        }
        if choice and choice.bucket is not None:
            metadata["bucket"] = choice.bucket
        return {
            "key": key,
            "reason": self._reason(service, routing, outcome),
            "variant": variant,
            "value": is_gray if slash else variant,
            "metadata": metadata,
        }

    def _keys_of(self, service: ServiceId) -> Iterator[str]:
        yield service.name
        for decision in self._routing(service)[0].decisions[:-1]:
            yield f"{service.name}/{decision.name}"

    def _routing(self, service: ServiceId) -> tuple[Routing, tuple[Identity, ...]]:
        if self._source.version() != self._version:
            self._version = self._source.version()
            self._routings.clear()
        known = self._routings.get(service)
        if known is None:
            routing = self._source.routing(service)
            if not routing.has_rule:  # nothing is kept of what callers make up
                raise KeyError(service)
            known = self._routings[service] = (routing, identities_of(routing))
        return known

    def _chosen(self, routing: Routing, decided: Evaluation) -> tuple[Outcome, Choice | None, str]:
        """Let chance choose where the rules leave it to chance."""
        outcome = _pick([(each, each.probability) for each in decided.outcomes], self._chance)
        if outcome.choice is None:  # a redirect, or an answer without the service
            return outcome, None, routing.baseline or routing.service
        target = _pick(outcome.choice.targets, self._chance)
        return outcome, outcome.choice, target.subset or routing.service

    def _reason(self, service: ServiceId, routing: Routing, outcome: Outcome) -> str:
        if not self._source.enabled(service):
            return "DISABLED"
        if outcome.decision is routing.decisions[-1]:
            return "STATIC"
        action = outcome.decision.action
        return "SPLIT" if isinstance(action, Forward) and len(action.split.shares) > 1 else "TARGETING_MATCH"


def _pick(options: Iterable[tuple[OptionT, float]], chance: Callable[[], float]) -> OptionT:
    found = [option for option in options if option[1] > 0]
    if len(found) == 1:
        return found[0][0]
    place = chance()
    for option, probability in found:
        place -= probability
        if place < 0:
            return option
    return found[-1][0]
