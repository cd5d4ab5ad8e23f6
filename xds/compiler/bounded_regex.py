"""Users' regular expressions, made to match a part of a text: a path before its query, the value of a cookie.

Envoy's matchers see the ``:path`` and ``cookie`` headers whole, and RE2 has no lookahead that would keep a
pattern's ``.*`` within the part it is about. So the pattern is rewritten: whatever in it would match the
character that ends the part, no longer does (syntax: https://github.com/google/re2/wiki/Syntax).
"""

import re
from collections.abc import Iterator

import re2

from xds.compiler.regex import NOTHING, literal
from xds.compiler.regex_ends import EMPTY, Piece, without_ends

_ESCAPE = r"\\x\{[^}]*\}|\\x[0-9A-Fa-f]{2}|\\[0-7]{1,3}|\\."
_NAMED = r"\[:\^?\w+:\]"
_CLASS_ITEM = re.compile(rf"{_NAMED}|{_ESCAPE}|.", re.DOTALL)
_TOKEN = re.compile(
    rf"""
    \\Q (?P<quoted> .*?) (?: \\E | \Z)
    | (?P<class> \[ \^? \]? (?: {_NAMED} | {_ESCAPE} | [^\]\\] )* \] )
    | (?P<group> \( (?: \? (?: P?<[^>]*> | [a-zA-Z-]* [:)] ) )? )
    | (?P<end> \$ | \\z)
    | (?P<start> \^ | \\A)
    | (?P<edge> \\b | \\B)
    | (?P<bar> \|) | (?P<close> \))
    | (?P<repeat> [*+?] | \{{ \d+ (?: , \d* )? \}})
    | (?P<single> {_ESCAPE} | .)
    """,
    re.DOTALL | re.VERBOSE,
)
_CONTROLS = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}


def confined(pattern: str, stop: str) -> str:
    """Rewrite a pattern for a part that ends where the text ends, or before the character ``stop``.

    ``$`` in the pattern comes to mean the end of the part and ``^`` its beginning. The result is to be put
    behind what matches the text before the part, and followed by what matches the text from its end on; the
    text must be UTF-8 and hold no line ends.
    """
    return f"(?:{without_ends(list(_rewritten(pattern, stop)))})"


def _rewritten(pattern: str, stop: str) -> Iterator[Piece]:
    # Whether nothing has been matched yet where we are, and where each open group began.
    at_start, outer = True, [True]
    for token in _TOKEN.finditer(pattern):
        kind, text = token.lastgroup or "", token[0]
        if kind == "group":
            if text.endswith(")"):
                yield Piece("flags", text)
            else:
                outer.append(at_start)
                yield Piece(kind, text)
        elif kind == "close":
            outer.pop()
            at_start = False
            yield Piece(kind, text)
        elif kind == "bar":
            at_start = outer[-1]
            yield Piece(kind, text)
        elif kind == "start":
            # The text goes on before the part, so ``^`` itself would be wrong.
            yield Piece("edge", EMPTY if at_start else NOTHING)
        elif kind in {"end", "edge", "repeat"}:
            yield Piece(kind, text)
        else:
            at_start = at_start and not text
            for atom in _atoms(kind, token, stop):
                yield Piece("atom", atom)


def _atoms(kind: str | None, token: re.Match[str], stop: str) -> Iterator[str]:
    if kind == "quoted":
        yield from (NOTHING if char == stop else literal(char) for char in token["quoted"])
    elif kind == "class":
        yield _class(token["class"], stop)
    else:
        yield _single(token[0], stop)


def _single(atom: str, stop: str) -> str:
    """Rewrite what matches one character, outside a class."""
    if atom in {".", r"\C"}:
        return f"[^{_escaped(stop)}]"
    return _item(atom, stop) if atom.startswith("\\") else NOTHING if atom == stop else atom


def _class(text: str, stop: str) -> str:
    """Rewrite a bracketed class; a union loses a character only if each of its members does."""
    negated = text.startswith("[^")
    body = text[2 if negated else 1 : -1]
    if negated:
        # A bracket that comes first is a member; behind another one it would close the class.
        first_bracket = body.startswith("]")
        return f"[^{_escaped(stop)}{chr(92) if first_bracket else ''}{body}]"
    if not re2.fullmatch(text, stop):
        return text
    return f"(?:{'|'.join(_members(body, stop))})"


def _members(body: str, stop: str) -> Iterator[str]:
    items = _CLASS_ITEM.findall(body)
    while items:
        first = items.pop(0)
        if len(items) > 1 and items[0] == "-":
            _, last = items.pop(0), items.pop(0)
            yield from _range(_code_point(first), _code_point(last), ord(stop))
        elif first.startswith("\\") or len(first) > 1:
            yield _item(first, stop)
        elif first != stop:
            yield f"[{_escaped(first)}]"


def _range(first: int, last: int, stop: int) -> Iterator[str]:
    for low, high in ((first, min(last, stop - 1)), (max(first, stop + 1), last)):
        if low <= high:
            yield rf"[\x{{{low:x}}}-\x{{{high:x}}}]"


def _item(item: str, stop: str) -> str:
    """Rewrite an escape or a named class: ``\\W`` without ``;`` is what is neither ``\\w`` nor ``;``."""
    alone = f"[{item}]"
    if not re2.fullmatch(alone, stop):
        return alone
    if item.startswith("[:") or item[1] in "DSW":
        return f"[^{_complement(item)}{_escaped(stop)}]"
    return NOTHING


def _complement(item: str) -> str:
    if item.startswith("[:"):
        return f"[:{item[3:]}" if item.startswith("[:^") else f"[:^{item[2:]}"
    return item[0] + item[1].swapcase() + item[2:]


def _code_point(item: str) -> int:
    if not item.startswith("\\"):
        return ord(item)
    if item[1] == "x":
        return int(item[2:].strip("{}"), 16)
    if item[1] in "01234567":
        return int(item[1:], 8)
    return _CONTROLS.get(item[1], ord(item[1]))


def _escaped(char: str) -> str:
    return rf"\x{{{ord(char):x}}}"
