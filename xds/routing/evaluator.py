"""What is decided for a request, and why: the language's meaning, without any proxy.

Real proxies are tested against this (tests/envoy/test_matching.py).
"""

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from urllib.parse import unquote_to_bytes

import re2

from xds.routing.buckets import with_bucket
from xds.routing.hashing import bucket
from xds.routing.model import Decision, Forward, Routing, Split, Target
from xds.routing.predicates import (
    And,
    Constant,
    Contains,
    Described,
    Exact,
    FromNetwork,
    Header,
    Identity,
    InRange,
    Not,
    OneOf,
    Operator,
    Or,
    Percentage,
    Predicate,
    Prefix,
    Present,
    Query,
    Regex,
    Suffix,
    Test,
    folded,
    leaves,
)
from xds.routing.request import Request
from xds.routing.splits import TOTAL


@dataclass(frozen=True, slots=True)
class Choice:
    """How a split treats a request.

    ``bucket`` is the place of its user among ``TOTAL`` places; None if chance decides. ``targets`` are where
    it may go, each with its probability.
    """

    bucket: int | None
    targets: tuple[tuple[Target, float], ...]


@dataclass(frozen=True, slots=True)
class AskedDecision:
    """One decision that was asked: with which probability it was reached, and then held."""

    decision: Decision
    reached: float
    held: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What may happen: a decision with the probability that it decides.

    ``choice`` is where the request then goes, None if the decision does not forward it.
    """

    decision: Decision
    probability: float
    choice: Choice | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is decided for a request.

    ``asked`` are the decisions asked, in order, up to the one that must decide. ``outcomes`` are those that
    may decide; their probabilities add up to 1. It is more than one only where chance decides.
    """

    asked: tuple[AskedDecision, ...]
    outcomes: tuple[Outcome, ...]

    def targets(self) -> dict[Target, float]:
        """Return where the request may go, with the probability of each."""
        found: dict[Target, float] = {}
        for outcome in self.outcomes:
            for target, probability in outcome.choice.targets if outcome.choice else ():
                found[target] = found.get(target, 0.0) + probability * outcome.probability
        return found


def evaluate(routing: Routing, request: Request) -> Evaluation:
    """Say what is decided for a request."""
    request = with_bucket(request, routing.bucket_by)
    shares = _chances(routing)
    # What chance has decided so far, by salt, and with which probability things came so.
    branches: list[tuple[float, dict[str, int]]] = [(1.0, {})]
    asked, outcomes = [], []
    for decision in routing.decisions:
        reached = sum(probability for probability, _ in branches)
        salts = sorted({leaf.salt for leaf in _chance_leaves(decision.when)})
        branches = list(_branched(branches, salts, shares))
        held = [known for known in branches if holds(decision.when, request, known[1])]
        branches = [known for known in branches if not holds(decision.when, request, known[1])]
        probability = sum(one for one, _ in held)
        asked.append(AskedDecision(decision, reached, probability / reached))
        if held:
            outcomes.append(Outcome(decision, probability, _choice(decision, request)))
        if not branches:
            break
    return Evaluation(tuple(asked), tuple(outcomes))


def holds(predicate: Predicate, request: Request, chances: Mapping[str, int]) -> bool:
    """Whether a predicate holds; ``chances`` are the places that chance gave the request, by salt."""
    match predicate:
        case Test(source, operator):
            return any(operator_holds(operator, value) for value in request.values(source))
        case Not():
            return not holds(predicate.predicate, request, chances)
        case And():
            return all(holds(part, request, chances) for part in predicate.predicates)
        case Or():
            return any(holds(part, request, chances) for part in predicate.predicates)
        case Described():
            return holds(predicate.predicate, request, chances)
        case Constant():
            return predicate.value
        case FromNetwork(networks):
            return request.source is not None and _in_networks(request.source, networks)
        case Percentage():
            if predicate.identity is None:
                return chances[predicate.salt] < predicate.share
            identity = hashed_identity(predicate.identity, request)
            return identity is not None and bucket((identity,), predicate.salt) < predicate.share


def operator_holds(operator: Operator, value: str) -> bool:
    """Whether an operator holds for a value that is there."""
    match operator:
        case Present():
            return True
        case Exact(text, ignore_case):
            return folded(value, ignore_case) == folded(text, ignore_case)
        case Prefix(text, ignore_case):
            return folded(value, ignore_case).startswith(folded(text, ignore_case))
        case Suffix(text, ignore_case):
            return folded(value, ignore_case).endswith(folded(text, ignore_case))
        case Contains(text, ignore_case):
            return folded(text, ignore_case) in folded(value, ignore_case)
        case OneOf():
            return _is_among(folded(value, operator.ignore_case), operator.texts)
        case Regex(pattern, ignore_case):
            return _compiled(pattern, ignore_case).fullmatch(value.encode()) is not None
        case InRange(start, end):
            return bool(re.fullmatch("[+-]?[0-9]+", value)) and start <= int(value) < end


def choose(split: Split, request: Request) -> Choice:
    """Say where a split sends a request."""
    identity = request.identity(split.identity) if split.identity else None
    if identity is None or split.identity is None:
        return Choice(None, tuple((target, share / TOTAL) for target, share in split.shares))
    values = sorted(request.lines(split.identity.name)) if isinstance(split.identity, Header) else [identity]
    place = bucket([value.encode() for value in values])
    end = 0
    for target, share in split.shares:
        end += share
        if place < end:
            return Choice(place, ((target, 1.0),))
    raise ValueError("the shares of a split do not add up to the total")


def hashed_identity(identity: Identity, request: Request) -> bytes | None:
    """Return what a percentage hashes of a request; None if it is not there.

    Of a query parameter that is the decoded value, in contrast to splits. An empty cookie or parameter is
    nobody's.
    """
    value = request.identity(identity)
    if value is None or isinstance(identity, Header):
        return None if value is None else value.encode()
    return unquote_to_bytes(value) or None if isinstance(identity, Query) else value.encode()


def _choice(decision: Decision, request: Request) -> Choice | None:
    return choose(decision.action.split, request) if isinstance(decision.action, Forward) else None


def _chances(routing: Routing) -> dict[str, list[int]]:
    """Return, by salt, all shares that chance decides about."""
    shares: dict[str, set[int]] = {}
    for decision in routing.decisions:
        for leaf in _chance_leaves(decision.when):
            shares.setdefault(leaf.salt, set()).add(leaf.share)
    return {salt: sorted(found) for salt, found in shares.items()}


def _chance_leaves(predicate: Predicate) -> Iterator[Percentage]:
    for leaf in leaves(predicate):
        if isinstance(leaf, Percentage) and leaf.identity is None:
            yield leaf


def _branched(
    branches: list[tuple[float, dict[str, int]]], salts: list[str], shares: Mapping[str, list[int]]
) -> Iterator[tuple[float, dict[str, int]]]:
    """Let chance decide about more salts: a branch for each interval between two shares."""
    if not salts:
        yield from branches
        return
    salt, *others = salts
    bounds = [0, *(share for share in shares[salt] if 0 < share < TOTAL), TOTAL]
    grown = []
    for probability, known in branches:
        if salt in known:
            grown.append((probability, known))
        else:
            for low, high in pairwise(bounds):
                grown.append((probability * (high - low) / TOTAL, {**known, salt: low}))
    yield from _branched(grown, others, shares)


def _is_among(value: str, texts: tuple[str, ...]) -> bool:
    place = bisect_left(texts, value)
    return place < len(texts) and texts[place] == value


@lru_cache(maxsize=1 << 12)
def _compiled(pattern: str, ignore_case: bool) -> "re2.Pattern":
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # proxies match bytes
    options.case_sensitive = not ignore_case
    return re2.compile(pattern.encode(), options)


@lru_cache(maxsize=1 << 12)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _in_networks(address: str, networks: tuple[str, ...]) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in _network(network) for network in networks)
