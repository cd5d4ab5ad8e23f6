"""The statistical guard: Wald's sequential probability ratio test of a share of bad requests.

A check allows a share ``limit`` of its requests to be bad. The test weighs two claims about the true share p:
it is at most the limit, or it is at least twice the limit. Requests are added interval by interval, and the
test says after each what it has shown so far:

- a release with p ≤ limit is ever called bad with a probability of at most ``ALPHA``;
- a release with p ≥ 2 · limit is ever called good with a probability of at most ``BETA``.

Both hold however often one looks, which an exact test repeated every interval does not give. Between limit
and 2 · limit either may happen; until enough requests were seen, neither does. With no bad request at all,
about ln(1/BETA) / limit requests show that a release is good: 600 for a limit of 0.5 %.

The statistics of ``is_clear`` and ``upper_bound`` are an exact binomial test and Wilson's score interval.
"""

import math
from enum import Enum

ALPHA = 0.01
"""How often, at most, a test calls a share bad that is within its limit."""
BETA = 0.05
"""How often, at most, a test calls a share good that is twice its limit or more."""
CLEAR = 1e-6
"""A failure is clear if chance alone would bring it about less often than this."""

_SMALLEST_LIMIT = 1e-4
_Z = 2.576  # of a two-sided interval of 99 %


class Shown(Enum):
    """What the requests so far show of the share of bad ones."""

    GOOD = "good"
    NOTHING = "nothing"
    BAD = "bad"


def shown(bad: int, requests: int, *, limit: float, lenient_limit: float | None = None) -> Shown:
    """Say what ``bad`` of ``requests`` show of a limit, a share between 0 and 1.

    ``lenient_limit`` is for what is called bad, where the limit itself is an estimate: its upper bound.
    A limit below 0.01 % is tested as 0.01 %: less cannot be shown with a sensible number of requests.
    """
    if log_ratio(bad, requests, limit if lenient_limit is None else lenient_limit) >= math.log(1 / ALPHA):
        return Shown.BAD
    if log_ratio(bad, requests, limit) <= -math.log(1 / BETA):
        return Shown.GOOD
    return Shown.NOTHING


def log_ratio(bad: int, requests: int, limit: float) -> float:
    """Return the logarithm of how much likelier the requests are at twice the limit than at the limit."""
    if limit >= 1:
        return -math.inf  # everything is within it
    low = max(limit, _SMALLEST_LIMIT)
    high = min(2 * low, (1 + low) / 2)
    return bad * math.log(high / low) + (requests - bad) * math.log((1 - high) / (1 - low))


def is_clear(bad: int, requests: int, limit: float) -> bool:
    """Whether most requests are bad, which has odds below ``CLEAR`` for a release within the limit."""
    if bad * 2 < requests or bad == 0 or limit >= 1:
        return False
    low = max(limit, _SMALLEST_LIMIT)
    # P(X ≥ bad) ≤ C(requests, bad) · low^bad: a bound is enough, and needs no sum.
    log_bound = (
        math.lgamma(requests + 1)
        - math.lgamma(bad + 1)
        - math.lgamma(requests - bad + 1)
        + bad * math.log(low)
    )
    return log_bound < math.log(CLEAR)


def upper_bound(bad: int, requests: int) -> float:
    """Return Wilson's upper bound, at 99 %, of the share that ``bad`` of ``requests`` come from."""
    if requests == 0:
        return 1.0
    share, spread = bad / requests, _Z * _Z / requests
    centre = share + spread / 2
    margin = _Z * math.sqrt(share * (1 - share) / requests + spread / requests / 4)
    return min(1.0, (centre + margin) / (1 + spread))
