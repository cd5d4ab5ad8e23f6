"""Predicates: what must hold for a request. Trees of small values; nothing here knows a proxy.

A leaf reads something of the request (``Source``, ``Identity``) and tests it. What is not there passes no
leaf, so it passes every leaf in a ``Not``. ``And(())`` holds for every request, ``Or(())`` for none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Path:
    """The path without its query string, percent-encoded as it stands in the URL."""


@dataclass(frozen=True, slots=True)
class Method:
    """The HTTP method."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header by its name in lower case. Several lines of one name are one value, joined by ``,``."""

    name: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie by name, without quotes around its value. Of several the first counts."""

    name: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter by name, percent-encoded as it stands in the URL. Of several the first counts."""

    name: str


@dataclass(frozen=True, slots=True)
class Baggage:
    """A member of the header ``baggage`` (W3C Baggage) by its key, without properties."""

    name: str


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """The address of the client, as the proxy determines it (trusted hops of ``x-forwarded-for``)."""


Source = Path | Method | Header | Cookie | Query | Baggage
"""Where a text of the request stands."""

Identity = Header | Cookie | Query | SourceAddress
"""What identifies a user, to be hashed."""


def folded(text: str, ignore_case: bool) -> str:
    """Return a text as it is compared: ASCII letters, and no others, in lower case if case does not count."""
    return text.encode().lower().decode() if ignore_case else text


@dataclass(frozen=True, slots=True)
class Present:
    """The value is there, even if it is empty."""


@dataclass(frozen=True, slots=True)
class Exact:
    """The value is this text. ``ignore_case``, here and below, folds ASCII letters only."""

    text: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Prefix:
    """The value begins with this text."""

    text: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Suffix:
    """The value ends with this text."""

    text: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Contains:
    """The value has this text somewhere."""

    text: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """The whole value matches this RE2 expression."""

    pattern: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these texts: sorted, each once, in lower case with ``ignore_case``.

    ``name`` is the list document that they come from, if one.
    """

    texts: tuple[str, ...]
    ignore_case: bool = False
    name: str | None = None

    @classmethod
    def of(cls, texts: Iterable[str], *, ignore_case: bool = False, name: str | None = None) -> Self:
        """Return the operator for texts in any order."""
        return cls(tuple(sorted({folded(text, ignore_case) for text in texts})), ignore_case, name)


@dataclass(frozen=True, slots=True)
class InRange:
    """The value is a decimal integer, with a sign or without: start ≤ value < end."""

    start: int
    end: int


Operator = Present | Exact | Prefix | Suffix | Contains | Regex | OneOf | InRange


@dataclass(frozen=True, slots=True)
class Test:
    """The source is there and the operator holds for its value."""

    source: Source
    operator: Operator


@dataclass(frozen=True, slots=True)
class FromNetwork:
    """The client's address lies in one of these networks, in CIDR notation."""

    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Percentage:
    """The hash of an identity falls into the first ``share`` of 1,000,000 places (``xds.routing.hashing``).

    Without the identity it does not hold. ``salt`` makes independent choices of the same identity. With
    ``identity`` None chance decides, for each request anew: equal salts then decide alike in one request.
    """

    identity: Identity | None
    share: int
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """Holds for all requests or for none, for a time: a schedule that is open or closed."""

    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    """The predicate does not hold."""

    predicate: "Predicate"


@dataclass(frozen=True, slots=True)
class And:
    """All predicates hold."""

    predicates: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the predicates holds."""

    predicates: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Described:
    """A predicate that a word of the language stands for, such as ``device: [ios]``; for explanations."""

    words: str
    predicate: "Predicate"


Leaf = Test | FromNetwork | Percentage | Constant
Predicate = Leaf | Not | And | Or | Described

ALWAYS = And(())
NEVER = Or(())


def conjunction(predicates: Iterable[Predicate]) -> Predicate:
    """Return what holds if all predicates do; a single one is returned as it is."""
    parts = tuple(predicates)
    return parts[0] if len(parts) == 1 else And(parts)


def disjunction(predicates: Iterable[Predicate]) -> Predicate:
    """Return what holds if one of the predicates does; a single one is returned as it is."""
    parts = tuple(predicates)
    return parts[0] if len(parts) == 1 else Or(parts)


def simplified(predicate: Predicate) -> Predicate:
    """Return a predicate that means the same, without ``Described`` and without ``Constant``.

    The result is ``ALWAYS``, ``NEVER``, or a tree with neither of them inside.
    """
    match predicate:
        case Described():
            return simplified(predicate.predicate)
        case Constant():
            return ALWAYS if predicate.value else NEVER
        case Not():
            inner = simplified(predicate.predicate)
            if isinstance(inner, Not):
                return inner.predicate
            return NEVER if inner == ALWAYS else ALWAYS if inner == NEVER else Not(inner)
        case And():
            parts = [simplified(part) for part in predicate.predicates]
            return NEVER if NEVER in parts else conjunction(_flat(parts, And))
        case Or():
            parts = [simplified(part) for part in predicate.predicates]
            return ALWAYS if ALWAYS in parts else disjunction(_flat(parts, Or))
        case _:
            return predicate


def _flat(parts: Iterable[Predicate], kind: type[And] | type[Or]) -> Iterator[Predicate]:
    for part in parts:
        yield from part.predicates if isinstance(part, kind) else (part,)


def assuming_absent(predicate: Predicate, source: Source) -> Predicate:
    """Return what holds of a predicate for requests that lack a source, simplified."""

    def assume(one: Predicate) -> Predicate:
        match one:
            case Not():
                return Not(assume(one.predicate))
            case And():
                return And(tuple(map(assume, one.predicates)))
            case Or():
                return Or(tuple(map(assume, one.predicates)))
            case Test() if one.source == source:
                return NEVER
            case _:
                return one

    return simplified(assume(simplified(predicate)))


def also(predicate: Predicate, condition: Predicate) -> Predicate:
    """Return what holds if both do, keeping the alternatives of a simplified disjunction apart."""
    if isinstance(predicate, Or):
        return simplified(disjunction(And((part, condition)) for part in predicate.predicates))
    return simplified(And((predicate, condition)))


def leaves(predicate: Predicate) -> Iterator[Leaf]:
    """Yield the leaves of a tree, from left to right."""
    match predicate:
        case Not() | Described():
            yield from leaves(predicate.predicate)
        case And() | Or():
            for part in predicate.predicates:
                yield from leaves(part)
        case _:
            yield predicate
