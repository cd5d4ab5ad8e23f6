"""Why a request goes where it goes, in words: ``evaluate`` for people."""

from collections.abc import Iterator
from dataclasses import dataclass

from xds.routing.buckets import with_bucket
from xds.routing.evaluator import AskedDecision, Evaluation, Outcome, evaluate, hashed_identity, holds
from xds.routing.hashing import bucket
from xds.routing.model import Decision, Forward, Routing, Split
from xds.routing.predicates import (
    And,
    Constant,
    Described,
    FromNetwork,
    Not,
    Or,
    Percentage,
    Predicate,
    Test,
    leaves,
)
from xds.routing.request import Request
from xds.routing.splits import TOTAL
from xds.routing.words import words_of, words_of_action, words_of_identity, words_of_target


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule that was asked: the probability that it held once it was asked, and why."""

    rule: str
    probability: float
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happens to a request.

    ``considered`` are the rules asked, in order. ``notes`` say what else would be good to know: the place of
    the user, from which weight on the user would be elsewhere, what serves instead of a subset.
    """

    evaluation: Evaluation
    considered: tuple[Considered, ...]
    notes: tuple[str, ...]

    @property
    def rule(self) -> str | None:
        """The rule that decides; None if chance decides between several."""
        outcomes = self.evaluation.outcomes
        return outcomes[0].decision.name if len(outcomes) == 1 else None

    @property
    def action(self) -> str:
        """What happens, in words."""
        outcomes = self.evaluation.outcomes
        if len(outcomes) == 1:
            return words_of_action(outcomes[0].decision.action)
        return "; ".join(
            f"{_percent(outcome.probability)}: {outcome.decision.name}, "
            f"{words_of_action(outcome.decision.action)}"
            for outcome in outcomes
        )

    def chances(self) -> list[tuple[str, float]]:
        """Return where the request may go, such as ``reviews|gray``, with the probability of each."""
        found: dict[str, float] = {}
        for outcome in self.evaluation.outcomes:
            for name, probability in _destinations(outcome):
                found[name] = found.get(name, 0.0) + probability * outcome.probability
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def explain(routing: Routing, request: Request) -> Explanation:
    """Say what is decided for a request, and why."""
    request = with_bucket(request, routing.bucket_by)
    evaluation = evaluate(routing, request)
    considered = tuple(
        Considered(asked.decision.name, asked.held, _why_asked(asked, request)) for asked in evaluation.asked
    )
    return Explanation(evaluation, considered, tuple(_notes(evaluation, request)))


def _destinations(outcome: Outcome) -> Iterator[tuple[str, float]]:
    if outcome.choice is None:
        yield words_of_action(outcome.decision.action), 1.0
        return
    for target, probability in outcome.choice.targets:
        name = target.service if target.subset is None else f"{target.service}|{target.subset}"
        yield name, probability


def _why_asked(asked: AskedDecision, request: Request) -> str:
    if 0.0 < asked.held < 1.0:
        return f"chance decides: {words_of(asked.decision.when)}"
    return _why(asked.decision.when, request)


def _why(predicate: Predicate, request: Request) -> str:
    """Say what made a predicate hold or fail: the conditions, and what the request has instead."""
    match predicate:
        case And(()):
            return "every request matches"
        case And(parts):
            failing = next((part for part in parts if not _holds(part, request)), None)
            return _why(failing, request) if failing else "; ".join(_why(part, request) for part in parts)
        case Or(parts):
            holding = next((part for part in parts if _holds(part, request)), None)
            return _why(holding, request) if holding else "; ".join(_why(part, request) for part in parts)
        case Described():
            return predicate.words
        case Not(predicate=Percentage() | FromNetwork() | Test() as leaf):
            return f"not {_leaf(leaf, request)}"
        case Not():
            return words_of(predicate)
        case _:
            return _leaf(predicate, request)


def _leaf(leaf: Test | FromNetwork | Percentage | Constant, request: Request) -> str:
    words = words_of(leaf)
    match leaf:
        case Test(source, _):
            values = request.values(source)
            return f"{words} ({' and '.join(map(_shown, values)) or 'it is not there'})"
        case FromNetwork():
            return f"{words} ({request.source or 'it is not known'})"
        case Percentage(identity=identity) if identity is not None:
            hashed = hashed_identity(identity, request)
            if hashed is None:
                return f"{words} ({words_of_identity(identity)} is not there)"
            return f"{words} (place {bucket((hashed,), leaf.salt):,} of {TOTAL:,})"
        case _:
            return words


def _holds(predicate: Predicate, request: Request) -> bool:
    # Where chance has a part in the outcome, nobody asks.
    chances = dict.fromkeys((leaf.salt for leaf in leaves(predicate) if isinstance(leaf, Percentage)), 0)
    return holds(predicate, request, chances)


def _notes(evaluation: Evaluation, request: Request) -> Iterator[str]:
    for asked in evaluation.asked:
        yield from _notes_of_percentages(asked.decision, request)
    for outcome in evaluation.outcomes:
        action = outcome.decision.action
        if isinstance(action, Forward):
            yield from _notes_of_split(outcome, action.split)
            if action.mirror:
                yield f"{_percent(action.mirror.share / TOTAL)} of such requests are copied to " + (
                    words_of_target(action.mirror.target)
                )


def _notes_of_percentages(decision: Decision, request: Request) -> Iterator[str]:
    for leaf in leaves(decision.when):
        if isinstance(leaf, Percentage) and leaf.identity is not None:
            hashed = hashed_identity(leaf.identity, request)
            if hashed is not None:
                place = bucket((hashed,), leaf.salt)
                yield f"{decision.name}: this user is among the percentage from {_least(place)} on"


def _notes_of_split(outcome: Outcome, split: Split) -> Iterator[str]:
    name, choice = outcome.decision.name, outcome.choice
    if choice is not None and choice.bucket is not None:
        yield f"{name}: the user's place is {choice.bucket:,} of {TOTAL:,}"
        if len(split.shares) == 2:
            gray, other = (words_of_target(share.target) for share in split.shares)
            yield f"{name}: this user is in {gray} from {_least(choice.bucket)} on, else in {other}"
    elif split.identity is not None:
        yield f"{name}: {words_of_identity(split.identity)} is not there, so chance decides for each request"
    for target in {share.target: None for share in split.shares}:
        instead = f"{target.fallback} serves" if target.fallback else "requests fail"
        if target.subset is not None:
            yield f"{name}: if no instance of {target.subset} can serve, {instead}"


def _least(place: int) -> str:
    """Return the least share that a place lies in."""
    return _percent((place + 1) / TOTAL)


def _percent(probability: float) -> str:
    return f"{round(probability * 100, 4):g} %"


def _shown(value: str) -> str:
    return f'"{value[:80]}…"' if len(value) > 80 else f'"{value}"'
