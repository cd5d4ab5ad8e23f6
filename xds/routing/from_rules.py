"""From a rule document, and what is beside it, to what it decides."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from xds.routing.from_actions import action_of, everything_to, target_of
from xds.routing.from_matches import any_match, lane_mark, mark_of, next_change
from xds.routing.model import Decision, Forward, Routing, Share, Split
from xds.routing.predicates import ALWAYS, Baggage, Header, OneOf, Test, disjunction
from xds.routing.splits import TOTAL
from xds.routing.surroundings import Overrides, Reading, Surroundings
from xds.rules.model import HttpRule, Match, RuleDocument

_NO_SURROUNDINGS = Surroundings()
_NO_OVERRIDES = Overrides()


def routing_of(
    service: str,
    document: RuleDocument | None,
    now: datetime,
    surroundings: Surroundings = _NO_SURROUNDINGS,
    overrides: Overrides = _NO_OVERRIDES,
) -> Routing:
    """Say what a document decides for a service at a time.

    Without a document, all requests go to all instances. With one, first come the alternatives of rules that
    match a ``lane``, then the lanes themselves, then the other alternatives of the rules. The decisions of a
    rule have the rule's name, those of a lane ``lane:NAME``; the last decision is called ``baseline``, or has
    the service's name if it has no subsets.
    """
    if document is None:
        return Routing(service, (Decision(service, ALWAYS, everything_to(service, None)),))
    reading = Reading(service, surroundings, now)
    name = "baseline" if document.baseline else service
    last = Decision(name, ALWAYS, everything_to(service, document.baseline))
    ruled = tuple(_decisions(reading, document, overrides)) if document.enabled else ()
    matches = (match for rule in document.http for match in rule.match)
    return Routing(
        service,
        decisions=(*ruled, last),
        subsets={name: subset.labels for name, subset in document.subsets.items()},
        policies={subset: document.traffic_policy_of(subset) for subset in (None, *document.subsets)},
        baseline=document.baseline,
        hosts=document.hosts,
        aliases=document.aliases,
        group=document.group,
        has_rule=True,
        gateways=frozenset(document.gateways) if document.hosts else frozenset(),
        changes_at=next_change(matches, now) if document.enabled else None,
        measured=overrides.measured,
        bucket_by=Header(surroundings.bucket_by) if surroundings.bucket_by else None,
    )


def _decisions(reading: Reading, document: RuleDocument, overrides: Overrides) -> Iterator[Decision]:
    weights = weights_in_force(document, overrides)
    parts = [(rule, _in_lanes(rule), _elsewhere(rule)) for rule in document.http]
    for rule, in_lanes, _ in parts:
        if in_lanes:
            yield from _of_alternatives(reading, document, rule, weights, in_lanes)
    yield from _of_lanes(reading, document)
    for rule, _, elsewhere in parts:
        if elsewhere or not rule.match:
            yield from _of_alternatives(reading, document, rule, weights, elsewhere)


def weights_in_force(
    document: RuleDocument, overrides: Overrides = _NO_OVERRIDES
) -> dict[str, Mapping[str, int]]:
    """Return the weights that are in force instead of those that rules say, by the name of the rule."""
    return _unstarted(document) | dict(overrides.weights)


def _unstarted(document: RuleDocument) -> dict[str, Mapping[str, int]]:
    """Return the weights of a rule whose rollout has not begun: its subset gets nothing."""
    rollout = document.rollout
    for rule in document.http if rollout else ():
        weights = {one.subset: one.weight or 0 for one in rule.route} if len(rule.route) > 1 else {}
        if rollout and rollout.subset in weights and rollout.rule in {None, rule.name}:
            weights[rollout.subset] = 0
            return {rule.name: weights} if any(weights.values()) else {}
    return {}


def _in_lanes(rule: HttpRule) -> tuple[Match, ...]:
    return tuple(match for match in rule.match if match.lane is not None)


def _elsewhere(rule: HttpRule) -> tuple[Match, ...]:
    return tuple(match for match in rule.match if match.lane is None)


def _of_alternatives(
    reading: Reading,
    document: RuleDocument,
    rule: HttpRule,
    weights: Mapping[str, Mapping[str, int]],
    matches: tuple[Match, ...],
) -> Iterator[Decision]:
    """Decide for some alternatives of a rule: one decision, or one for each if the path's prefix matters."""
    groups: list[tuple[Match, ...]] = [matches]
    if rule.rewrite is not None and rule.rewrite.uri is not None and len(matches) > 1:
        groups = [(match,) for match in matches]
    for group in groups:
        action = action_of(document, rule, weights.get(rule.name), _prefix(group))
        yield Decision(rule.name, any_match(reading, rule.name, group), action)


def _prefix(matches: tuple[Match, ...]) -> str | None:
    uri = matches[0].uri if matches else None
    return uri.prefix if uri and not uri.not_ else None


def _of_lanes(reading: Reading, document: RuleDocument) -> Iterator[Decision]:
    """Send the requests of a lane to its subset; those of lanes without a subset here go to the baseline."""
    if not document.subsets:
        return
    others: dict[Header | Baggage, list[str]] = {}
    for lane in reading.surroundings.lanes:
        if lane.subset in document.subsets:
            split = Split((Share(target_of(document, lane.subset), TOTAL),))
            yield Decision(f"lane:{lane.name}", lane_mark(lane), Forward(split))
        else:
            others.setdefault(mark_of(lane), []).append(lane.name)
    if others and document.http:
        # However many lanes there are, it is one test for each header that carries their marks.
        marked = disjunction(Test(mark, OneOf.of(names)) for mark, names in others.items())
        yield Decision("lane", marked, everything_to(reading.service, document.baseline))
