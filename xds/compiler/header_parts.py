"""Values that are parts of a header: one cookie of ``cookie``, one parameter of the query in ``:path``.

Envoy's matchers have no input for the one, and for the other only one that decodes it. So the whole header is
described by patterns, split as Envoy's plain routes split it: the first cookie or parameter of a name counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import re2

from xds.compiler.bounded_regex import confined
from xds.compiler.regex import NOTHING, alternations, integer_range, literal, with_case
from xds.routing.predicates import Contains, Exact, InRange, OneOf, Operator, Prefix, Present, Regex, Suffix


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a header: what matches before its value and after it, and what character ends it.

    ``alone`` matches up to a name without a value, where that is as good as an empty one.
    """

    head: str
    stop: str
    rest: str
    alone: str | None = None

    def patterns(self, operator: Operator) -> Iterator[str]:
        """Match the header if an operator holds for the part; any of the patterns may match."""
        for value in self._values(operator):
            yield f"{self.head}(?:{value}){self.rest}"
        if self.alone is not None and _holds_for_nothing(operator):
            yield f"{self.alone}{self.rest}"

    def _values(self, operator: Operator) -> Iterator[str]:
        inside = f"[^{self.stop}]*"
        match operator:
            case Present():
                yield inside
            case OneOf():
                possible = [text for text in operator.texts if self.stop not in text]
                yield from (
                    alternations(possible, ignore_case=operator.ignore_case) if possible else (NOTHING,)
                )
            case Exact():
                yield self._text(operator)
            case Prefix():
                yield self._text(operator) + inside
            case Suffix():
                yield inside + self._text(operator)
            case Contains():
                yield inside + self._text(operator) + inside
            case InRange():
                yield integer_range(operator.start, operator.end)
            case Regex():
                pattern = with_case(operator.pattern, ignore_case=operator.ignore_case)
                yield confined(pattern, self.stop)

    def _text(self, operator: Exact | Prefix | Suffix | Contains) -> str:
        if self.stop in operator.text:
            return NOTHING
        return literal(operator.text, ignore_case=operator.ignore_case)


def cookie(name: str) -> Part:
    """Describe the value of a cookie with the quotes it may be in."""
    return Part(head=_before_cookie(name), stop=";", rest=r"(?:;\C*)?")


def quoted_cookie(name: str) -> Part:
    """Describe what is between the quotes of a cookie's value; no header matches if it has none."""
    return Part(head=_before_cookie(name) + '"', stop=";", rest=r'"(?:;\C*)?')


def query(name: str) -> Part:
    """Describe the value of a query parameter, as it was sent; without ``=`` it is empty."""
    other = _unlike(name, "&", "[^&=][^&]*")
    before = rf"[^?]*\?(?:{other}&)*{literal(name)}"
    return Part(head=f"{before}=", stop="&", rest=r"(?:&\C*)?", alone=before)


def baggage(name: str) -> Part:
    """Describe the value of a member of W3C baggage, without its properties; any of the name may match."""
    space = r"[ \t]*"
    return Part(
        head=rf"(?:\C*,)?{space}{literal(name)}{space}={space}",
        stop=",",
        rest=rf"{space}(?:;[^,]*)?(?:,\C*)?",
    )


def _before_cookie(name: str) -> str:
    # Spaces may come before a name, and a name without ``=`` is no cookie.
    other = _unlike(name, ";", "(?:[^;=][^;]*)?", not_first=" ")
    return f"(?: *{other};)* *{literal(name)}="


def _unlike(name: str, stop: str, longer: str, *, not_first: str = "") -> str:
    """Match a part that is not called ``name``: it ends within the name, leaves it, or goes on ``longer``."""
    pattern = longer
    for position, char in reversed(tuple(enumerate(name))):
        leaves = f"[^{stop}{literal(char)}{'' if position else not_first}][^{stop}]*"
        pattern = f"(?:{leaves}|{literal(char)}{pattern})?"
    return pattern


def _holds_for_nothing(operator: Operator) -> bool:
    if isinstance(operator, Regex):
        pattern = with_case(operator.pattern, ignore_case=operator.ignore_case)
        return re2.fullmatch(pattern, "") is not None
    return isinstance(operator, Present)
