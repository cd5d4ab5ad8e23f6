"""Patterns whose ``$`` is taken out: what is left matches the same, where the pattern's end is known to be.

A pattern with ``$`` describes two kinds of matches: those that pass no ``$`` (*plain*), and those that pass
one (*ended*), after which nothing but emptiness can be matched (*empty*). Each of the three is a pattern
without ``$``, made from those of its parts; None stands for one that matches nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xds.compiler.regex import NOTHING

EMPTY = "(?:)"
"""Matches emptiness anywhere."""


class Piece(NamedTuple):
    """A piece of a pattern: ``atom`` matches a character, ``edge`` is an assertion, ``flags`` are for what
    follows, ``end`` is ``$``, ``repeat`` is about the piece before; ``group``, ``bar`` and ``close`` are what
    they are called.
    """

    kind: str
    text: str


@dataclass(slots=True)
class _Group:
    """What is between brackets."""

    head: str
    alternatives: "list[list[_Item]]"


@dataclass(slots=True)
class _Item:
    """A piece or a group, and how often it is there."""

    what: Piece | _Group
    repeat: str = ""

    @property
    def bounds(self) -> tuple[int, int | None]:
        """The least and the greatest number of times; None: any."""
        if not self.repeat:
            return 1, 1
        if found := re.match(r"\{(\d+)(,?)(\d*)\}", self.repeat):
            low = int(found[1])
            return low, (int(found[3]) if found[3] else None) if found[2] else low
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[self.repeat[0]]


def without_ends(pieces: Sequence[Piece]) -> str:
    """Return a pattern for the same texts without ``$``."""
    if all(piece.kind != "end" for piece in pieces):
        return "".join(piece.text for piece in pieces)
    whole = _alternatives(iter(pieces))
    return _either([_any(whole, _plain), _any(whole, _ended)]) or NOTHING


def _alternatives(pieces: Iterator[Piece]) -> list[list[_Item]]:
    """Read up to the bracket that closes, or to the end."""
    found: list[list[_Item]] = [[]]
    for piece in pieces:
        if piece.kind == "close":
            break
        if piece.kind == "bar":
            found.append([])
        elif piece.kind == "repeat":
            found[-1][-1].repeat += piece.text
        elif piece.kind == "group":
            found[-1].append(_Item(_Group(piece.text, _alternatives(pieces))))
        else:
            found[-1].append(_Item(piece))
    return found


def _any(alternatives: list[list[_Item]], of: Callable[[list[_Item]], str | None]) -> str | None:
    """Match any of some alternatives. Flags that one sets are set in those after it."""
    flags, found = "", []
    for items in alternatives:
        text = of(items)
        found.append(None if text is None else flags + text)
        whats = [item.what for item in items]
        flags += "".join(what.text for what in whats if isinstance(what, Piece) and what.kind == "flags")
    return _either(found)


def _either(patterns: Sequence[str | None]) -> str | None:
    possible = [pattern for pattern in patterns if pattern is not None]
    return "|".join(f"(?:{pattern})" for pattern in possible) if possible else None


def _all(texts: Sequence[str | None]) -> str | None:
    """Match one after the other."""
    return None if None in texts else "".join(text for text in texts if text is not None)


def _plain(items: list[_Item]) -> str | None:
    return _all([_plain_item(item) for item in items])


def _empty(items: list[_Item]) -> str | None:
    return _all([_empty_item(item) for item in items])


def _ended(items: list[_Item]) -> str | None:
    return _either(
        [
            _all([_plain(items[:place]), _ended_item(item), _empty(items[place + 1 :])])
            for place, item in enumerate(items)
        ]
    )


def _plain_item(item: _Item) -> str | None:
    none = EMPTY if item.bounds[0] == 0 else None
    if isinstance(item.what, Piece):
        return none if item.what.kind == "end" else item.what.text + item.repeat
    inner = _any(item.what.alternatives, _plain)
    return none if inner is None else f"{item.what.head}{inner}){item.repeat}"


def _empty_item(item: _Item) -> str | None:
    if item.bounds[0] == 0:
        return EMPTY
    if isinstance(item.what, _Group):
        inner = _any(item.what.alternatives, _empty)
        return None if inner is None else f"{item.what.head}{inner})"
    return {"end": EMPTY, "edge": item.what.text, "flags": item.what.text}.get(item.what.kind)


def _ended_item(item: _Item) -> str | None:
    """Match an item that ends in one of its repetitions; those before are plain, those after it empty."""
    low, high = item.bounds
    if isinstance(item.what, Piece):
        return EMPTY if item.what.kind == "end" and high != 0 else None
    ended = _any(item.what.alternatives, _ended)
    if ended is None or high == 0:
        return None
    head = item.what.head
    inner = _any(item.what.alternatives, _plain)
    plain = None if inner is None else f"{head}{inner})"
    last = f"{head}{ended})"
    upper = None if high is None else high - 1
    ways = [_all([_times(plain, max(low - 1, 0), upper), last])]
    if low > 1:
        ways.append(_all([_times(plain, 0, low - 2), last, _empty_item(_Item(item.what))]))
    return None if (found := _either(ways)) is None else f"(?:{found})"


def _times(pattern: str | None, low: int, high: int | None) -> str | None:
    if high == 0 or pattern is None:
        return "" if low == 0 else None
    return f"{pattern}{{{low},{'' if high is None else high}}}"
