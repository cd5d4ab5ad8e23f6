"""Regular expressions (RE2) for tests that Envoy has no matcher for. All are meant to match a whole value."""

from collections.abc import Iterable

from xds.rules.model import Range

ANYTHING = r"\C*"
"""Any value, also one that is not UTF-8."""


def literals(values: Iterable[str], *, ignore_case: bool = False) -> str:
    """Match one of the values."""
    return "|".join(literal(value, ignore_case=ignore_case) for value in sorted(values))


def literal(text: str, *, ignore_case: bool = False) -> str:
    """Match a text; ``ignore_case`` folds ASCII letters only, as Envoy's string matchers do."""
    return "".join(_character(char, ignore_case) for char in text)


def _character(char: str, ignore_case: bool) -> str:
    if char.isascii() and char.isalpha():
        return f"[{char.lower()}{char.upper()}]" if ignore_case else char
    return char if char.isdigit() or not char.isascii() or char in " _-" else "\\" + char


def integer_range(bounds: Range) -> str:
    """Match a decimal integer from ``start`` up to, but not including, ``end``.

    As Envoy reads integers of headers: with a sign or without, leading zeros do not count.
    """
    parts = []
    if bounds.start <= 0 < bounds.end:
        parts.append("[+-]?0+")
    if bounds.end > 1:
        parts.append(rf"\+?0*(?:{_magnitudes(max(1, bounds.start), bounds.end - 1)})")
    if bounds.start < 0:
        parts.append(f"-0*(?:{_magnitudes(max(1, 1 - bounds.end), -bounds.start)})")
    return "|".join(parts)


def _magnitudes(low: int, high: int) -> str:
    """Match an integer from ``low`` to ``high``, both at least 1 and meant, without leading zeros."""
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
