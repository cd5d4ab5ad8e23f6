"""What another version of a document changes, for whom, and for how many of them.

Requests are made up that pass the tests of either version, each from many users, and both versions are asked
about them. A share is exact where chance decides, and measured on ``USERS`` users where they decide.
"""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from xds.routing.evaluator import evaluate, holds, operator_holds
from xds.routing.model import Routing
from xds.routing.predicates import (
    And,
    Baggage,
    Constant,
    Contains,
    Cookie,
    Described,
    Exact,
    FromNetwork,
    Header,
    Identity,
    InRange,
    Method,
    OneOf,
    Operator,
    Or,
    Path,
    Percentage,
    Predicate,
    Prefix,
    Present,
    Query,
    Regex,
    Source,
    SourceAddress,
    Suffix,
    Test,
    leaves,
)
from xds.routing.request import Request
from xds.routing.words import words_of, words_of_action, words_of_target

USERS = 2_000
"""Users that a share is measured on; it is right to about one percent of them."""


@dataclass(frozen=True, slots=True)
class Move:
    """``share`` of the requests, from 0 to 1, that ``old`` would answer and ``new`` will."""

    old: str
    new: str
    share: float


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes for some requests: ``who`` in words, and how much of them moves where.

    ``users``: the share was measured on users; otherwise chance decides for each request. ``tried`` is false
    if no request could be made up that passes, as for regular expressions; then nothing is known of moves.
    """

    who: str
    moves: tuple[Move, ...]
    users: bool
    tried: bool = True

    @property
    def changes(self) -> bool:
        """Whether anything changes for them."""
        return any(move.old != move.new for move in self.moves)


@dataclass(slots=True)
class _Sketch:
    """A request that is made up piece by piece."""

    path: str = "/"
    method: str = "GET"
    source: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    baggage: dict[str, str] = field(default_factory=dict)

    def set(self, source: Source, value: str) -> None:
        """Give a place of the request a value."""
        match source:
            case Path():
                self.path = value if value.startswith("/") else f"/{value}"
            case Method():
                self.method = value
            case Header(name):
                self.headers[name] = value
            case Cookie(name):
                self.cookies[name] = value
            case Query(name):
                self.query[name] = value
            case Baggage(name):
                self.baggage[name] = value

    def value(self, identity: Identity) -> str | None:
        """Return what identifies the user, if that is part of the request."""
        return self.request().identity(identity)

    def of_user(self, identities: Iterable[Identity], number: int) -> "_Sketch":
        """Return the same request from one of many users."""
        own = replace(self, headers=dict(self.headers), cookies=dict(self.cookies), query=dict(self.query))
        for identity in identities:
            if isinstance(identity, SourceAddress):
                own.source = str(ipaddress.ip_address(0x0A000000 + number * 7919))
            else:
                own.set(identity, f"user-{number}")
        return own

    def request(self) -> Request:
        """Return it as a request."""
        headers = dict(self.headers)
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if self.baggage:
            headers["baggage"] = ",".join(f"{name}={value}" for name, value in self.baggage.items())
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        target = f"{self.path}?{query}" if query else self.path
        return Request(self.method, target, tuple(headers.items()), self.source)


def compare(old: Routing, new: Routing) -> list[Difference]:
    """Say what changes from one version to another: for those whom rules name, then for everybody else."""
    decisions = (*old.decisions[:-1], *new.decisions[:-1])
    alternatives: dict[str, Predicate] = {}
    for decision in decisions:
        for alternative in _alternatives(decision.when):
            if any(isinstance(leaf, Test | FromNetwork) for leaf in leaves(alternative)):
                alternatives.setdefault(_words_of_tests(alternative), alternative)
    identities = {one for decision in decisions for one in decision.identities()}
    differences = [
        _difference(words, _sketch(alternative), identities, old, new)
        for words, alternative in alternatives.items()
    ]
    return [*differences, _difference("everybody else", _Sketch(), identities, old, new)]


def _alternatives(predicate: Predicate) -> Iterable[Predicate]:
    return predicate.predicates if isinstance(predicate, Or) else (predicate,)


def _words_of_tests(alternative: Predicate) -> str:
    """Say who is meant: the share of them is what is measured."""
    if not isinstance(alternative, And):
        return words_of(alternative)
    tests = (part for part in alternative.predicates if not isinstance(part, Percentage | Constant))
    return words_of(And(tuple(tests)))


def _difference(
    who: str, sketch: _Sketch | None, identities: Iterable[Identity], old: Routing, new: Routing
) -> Difference:
    if sketch is None:
        return Difference(who, (), users=False, tried=False)
    free = [identity for identity in identities if sketch.value(identity) is None]
    count = USERS if free else 1
    moves: defaultdict[tuple[str, str], float] = defaultdict(float)
    for number in range(count):
        request = sketch.of_user(free, number).request()
        for pair, share in _moved(_shares(old, request), _shares(new, request)).items():
            moves[pair] += share / count
    ordered = sorted(moves.items(), key=lambda one: (one[0][0] == one[0][1], -one[1], one[0]))
    told = (Move(before, after, share) for (before, after), share in ordered if share > 1e-9)
    return Difference(who, tuple(told), users=bool(free))


def _shares(routing: Routing, request: Request) -> dict[str, float]:
    """Return what may happen to a request, in words, with the probability of each."""
    shares: defaultdict[str, float] = defaultdict(float)
    for outcome in evaluate(routing, request).outcomes:
        if outcome.choice is None:
            shares[words_of_action(outcome.decision.action)] += outcome.probability
        for target, probability in outcome.choice.targets if outcome.choice else ():
            shares[words_of_target(target)] += outcome.probability * probability
    return shares


def _moved(old: Mapping[str, float], new: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Return what moves where if as little moves as can be."""
    moves = {(what, what): min(share, new.get(what, 0.0)) for what, share in old.items()}
    less = {what: share - moves[what, what] for what, share in old.items()}
    more = {what: share - moves.get((what, what), 0.0) for what, share in new.items()}
    total = sum(more.values())
    for before, leaving in less.items():
        for after, coming in more.items():
            if leaving > 0 and coming > 0:
                moves[before, after] = leaving * coming / total
    return moves


def _sketch(alternative: Predicate) -> "_Sketch | None":
    """Make up a request that passes the tests of an alternative; None if that fails."""
    sketch = _Sketch()
    for leaf in _wanted(alternative):
        if isinstance(leaf, FromNetwork):
            sketch.source = str(ipaddress.ip_network(leaf.networks[0]).network_address)
        elif isinstance(leaf, Test):
            if (value := _passing(leaf.operator)) is None:
                return None
            sketch.set(leaf.source, value)
    return sketch if _passes(alternative, sketch.request()) else None


def _wanted(predicate: Predicate) -> Iterator[Predicate]:
    """Yield leaves that must hold; of alternatives, those of the first."""
    match predicate:
        case Described():
            yield from _wanted(predicate.predicate)
        case And(predicates):
            for part in predicates:
                yield from _wanted(part)
        case Or(predicates) if predicates:
            yield from _wanted(predicates[0])
        case Test() | FromNetwork():
            yield predicate


def _passes(predicate: Predicate, request: Request) -> bool:
    """Whether a request passes all tests, whatever percentages and schedules say."""
    match predicate:
        case Percentage() | Constant():
            return True
        case Described():
            return _passes(predicate.predicate, request)
        case And(predicates):
            return all(_passes(part, request) for part in predicates)
        case Or(predicates):
            return any(_passes(part, request) for part in predicates)
        case _:
            return holds(predicate, request, {})


def _passing(operator: Operator) -> str | None:
    """Return a value that passes; None for a regular expression that is no plain text."""
    match operator:
        case Present():
            return "1"
        case Exact(text) | Prefix(text) | Suffix(text) | Contains(text):
            return text
        case OneOf(texts):
            return texts[0] if texts else None
        case InRange(start):
            return str(start)
        case Regex(pattern):
            text = re.sub(r"\\(.)|\.\*|\(\?:|[()]", r"\1", pattern).partition("|")[0]
            return text if operator_holds(operator, text) else None
