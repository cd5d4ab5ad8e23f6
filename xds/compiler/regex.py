"""Regular expressions (RE2) for tests that Envoy has no operator for; each describes a whole value."""

import string
from collections.abc import Iterable, Iterator

ANYTHING = r"\C*"
"""Matches every value, also one that is not UTF-8."""

NOTHING = r"(?:\b\B)"
"""Matches no value, not even an empty one."""

# All headers of a request together, unless a listener says otherwise (``max_request_headers_kb``).
_LONGEST_VALUE = 60 * 1024

# Envoy rejects a pattern whose compiled form passes RE2's memory budget, 8 MiB; these stay far below. One
# large alternation is no faster than several.
_LONGEST_ALTERNATION = 16 * 1024

_ESCAPED = {ord(char): f"\\{char}" for char in string.punctuation if char != "_"}
_BOTH_CASES = _ESCAPED | {ord(char): f"[{char}{char.swapcase()}]" for char in string.ascii_letters}


def literal(text: str, *, ignore_case: bool = False) -> str:
    """Match a text; ``ignore_case`` folds ASCII letters only, as Envoy's string operators do."""
    if len(text) > _LONGEST_VALUE:
        return NOTHING
    return text.translate(_BOTH_CASES if ignore_case else _ESCAPED)


def alternations(values: Iterable[str], *, ignore_case: bool) -> Iterator[str]:
    """Match one of the values, by as few patterns as Envoy accepts, any of which may match."""
    chunk: list[str] = []
    size = 0
    # In order, so that values with a common beginning meet and RE2 factors it out.
    for value in sorted(values):
        pattern = literal(value, ignore_case=ignore_case)
        if chunk and size + len(pattern) > _LONGEST_ALTERNATION:
            yield "|".join(chunk)
            chunk, size = [], 0
        chunk.append(pattern)
        size += len(pattern) + 1
    if chunk:
        yield "|".join(chunk)


def with_case(regex: str, *, ignore_case: bool) -> str:
    """Return a user's pattern, folding case if wanted."""
    return f"(?i){regex}" if ignore_case else regex


def integer_range(start: int, end: int) -> str:
    """Match a decimal integer from ``start`` up to, but not including, ``end``.

    As Envoy reads integers of headers: with a sign or without, leading zeros do not count.
    """
    parts = []
    if start <= 0 < end:
        parts.append("[+-]?0+")
    if end > 1:
        parts.append(rf"\+?0*(?:{_magnitudes(max(1, start), end - 1)})")
    if start < 0:
        parts.append(f"-0*(?:{_magnitudes(max(1, 1 - end), -start)})")
    return "|".join(parts)


def _magnitudes(low: int, high: int) -> str:
    """Match the integers from ``low`` to ``high``, both at least 1 and included, without leading zeros."""
    parts = []
    while low <= high:
        top = min(high, 10 ** len(str(low)) - 1)
        parts.append(_digits(str(low), str(top)))
        low = top + 1
    return "|".join(parts)


def _digits(low: str, high: str) -> str:
    """Match the numbers from ``low`` to ``high``, which have equally many digits."""
    count = len(low)
    if low == high:
        return low
    if low == "0" * count and high == "9" * count:
        return f"[0-9]{{{count}}}"
    first, last = int(low[0]), int(high[0])
    if first == last:
        return low[0] + _digits(low[1:], high[1:])
    if count == 1:
        return f"[{low}-{high}]"
    parts = [low[0] + _digits(low[1:], "9" * (count - 1)), high[0] + _digits("0" * (count - 1), high[1:])]
    if first + 1 < last:
        parts.append(f"[{first + 1}-{last - 1}][0-9]{{{count - 1}}}")
    return f"(?:{'|'.join(parts)})"
