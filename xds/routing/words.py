"""Predicates and actions in words, for people."""

from xds.routing.model import Action, DirectResponse, Forward, Target
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
    Leaf,
    Method,
    Not,
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
    Suffix,
    Test,
)

_SHOWN = 3


def words_of(predicate: Predicate) -> str:
    """Say what must hold: ``x-release is canary and cookie uid is there``."""
    match predicate:
        case Described():
            return predicate.words
        case Not(predicate=Test(source, Present())):
            return f"{words_of_source(source)} is not there"
        case Not():
            return f"not ({words_of(predicate.predicate)})"
        case And(predicates):
            return " and ".join(map(_grouped, predicates)) or "every request"
        case Or(predicates):
            return " or ".join(map(_grouped, predicates)) or "no request"
        case _:
            return _leaf(predicate)


def _leaf(leaf: Leaf) -> str:
    match leaf:
        case Test():
            return f"{words_of_source(leaf.source)} {_operator(leaf.operator)}"
        case FromNetwork(networks):
            return f"the address is in {_some(networks)}"
        case Percentage(identity=None):
            return f"{leaf.share / 10_000:g} % of the requests"
        case Percentage():
            salt = f" with salt {leaf.salt}" if leaf.salt else ""
            identity = words_of_identity(leaf.identity) if leaf.identity else ""
            return f"{leaf.share / 10_000:g} % of the users by {identity}{salt}"
        case Constant(value):
            return "every request" if value else "no request"


def _grouped(predicate: Predicate) -> str:
    words = words_of(predicate)
    return f"({words})" if isinstance(predicate, Or) else words


def words_of_source(source: Source) -> str:
    """Name where a text of a request stands."""
    match source:
        case Path():
            return "the path"
        case Method():
            return "the method"
        case Header(name):
            return name
        case Cookie(name):
            return f"cookie {name}"
        case Query(name):
            return f"query parameter {name}"
        case Baggage(name):
            return f"baggage {name}"


def words_of_identity(identity: Identity) -> str:
    """Name what identifies a user."""
    return words_of_source(identity) if isinstance(identity, Header | Cookie | Query) else "the address"


def _operator(operator: Operator) -> str:
    match operator:
        case Present():
            return "is there"
        case Exact(text):
            return f"is {text}"
        case Prefix(text):
            return f"begins with {text}"
        case Suffix(text):
            return f"ends with {text}"
        case Contains(text):
            return f"contains {text}"
        case Regex(pattern):
            return f"matches {pattern}"
        case OneOf():
            return (
                f"is in the list {operator.name}" if operator.name else f"is one of {_some(operator.texts)}"
            )
        case InRange(start, end):
            return f"is from {start} to {end - 1}"


def _some(texts: tuple[str, ...]) -> str:
    shown = ", ".join(texts[:_SHOWN])
    return shown if len(texts) <= _SHOWN else f"{shown} and {len(texts) - _SHOWN:,} more"


def words_of_target(target: Target) -> str:
    """Name where requests go: the subset, or the service that has none."""
    return target.subset or target.service


def words_of_action(action: Action) -> str:
    """Say what happens to a request: the subsets with their shares, an answer, or a redirect."""
    if isinstance(action, Forward):
        shares = action.split.shares
        if len(shares) == 1:
            return words_of_target(shares[0].target)
        return ", ".join(f"{words_of_target(one.target)} {one.share / 10_000:g} %" for one in shares)
    if isinstance(action, DirectResponse):
        return f"the answer {action.status}"
    parts = [part for part in (action.scheme, action.authority, action.path) if part]
    return f"a redirect to {' '.join(parts)}"
