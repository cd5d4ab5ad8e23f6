"""Values that are parts of a header: one cookie of ``cookie``, one parameter of the query in ``:path``.

Envoy's matchers have no input for the one, and for the other only one that decodes it. So the whole header is
described by patterns, split as Envoy's plain routes split it: the first cookie or parameter of a name counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import re2

from xds.compiler.confine import confined
from xds.compiler.patterns import NOTHING, alternations, integer_range, literal, with_case
from xds.rules.model import StringMatcher


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a header: what matches before its value and after it, and what character ends it.

    ``alone`` matches up to a name without a value, where that is as good as an empty one.
    """

    head: str
    stop: str
    rest: str
    alone: str | None = None

    def patterns(self, test: StringMatcher) -> Iterator[str]:
        """Match the header if the operator of a test holds for the part; any of the patterns may match."""
        for value in self._values(test):
            yield f"{self.head}(?:{value}){self.rest}"
        if self.alone is not None and _holds_for_nothing(test):
            yield f"{self.alone}{self.rest}"

    def _values(self, test: StringMatcher) -> Iterator[str]:
        inside = f"[^{self.stop}]*"
        if test.present is not None:
            yield inside
        elif test.in_ is not None:
            possible = [value for value in test.values if self.stop not in value]
            yield from alternations(possible, ignore_case=test.ignore_case) if possible else (NOTHING,)
        elif test.exact is not None:
            yield self._text(test.exact, test)
        elif test.prefix is not None:
            yield self._text(test.prefix, test) + inside
        elif test.suffix is not None:
            yield inside + self._text(test.suffix, test)
        elif test.contains is not None:
            yield inside + self._text(test.contains, test) + inside
        elif test.range is not None:
            yield integer_range(test.range)
        elif test.regex is not None:
            yield confined(with_case(test.regex, ignore_case=test.ignore_case), self.stop, self.rest)

    def _text(self, value: str, test: StringMatcher) -> str:
        return NOTHING if self.stop in value else literal(value, ignore_case=test.ignore_case)


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


def _holds_for_nothing(test: StringMatcher) -> bool:
    if test.regex is not None:
        return re2.fullmatch(with_case(test.regex, ignore_case=test.ignore_case), "") is not None
    return test.present is not None
