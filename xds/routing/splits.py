"""Splits: how relative weights become shares of one fixed total."""

from collections.abc import Mapping

TOTAL = 1_000_000
"""What the shares of every split add up to.

Envoy picks by hash (or random number) modulo the total: while it never changes, moving a weight moves one
boundary, and only the users between its old and its new place change sides.
"""


def shares(weights: Mapping[str, int]) -> dict[str, int]:
    """Scale weights to ``TOTAL`` by largest remainder; zero weights are dropped, no other becomes zero.

    At least one weight must be above zero. Ties go to the name first in order.
    """
    positive = {name: weight for name, weight in sorted(weights.items()) if weight > 0}
    total = sum(positive.values())
    scaled = {name: max(1, weight * TOTAL // total) for name, weight in positive.items()}
    missing = TOTAL - sum(scaled.values())
    by_remainder = sorted(scaled, key=lambda name: -(positive[name] * TOTAL % total))
    for name in by_remainder[: max(0, missing)]:
        scaled[name] += 1
    if missing < 0:  # shares below one were raised to one: the largest gives way
        scaled[max(scaled, key=scaled.__getitem__)] += missing
    return scaled
