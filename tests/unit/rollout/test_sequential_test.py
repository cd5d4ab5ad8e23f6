"""The error rates that the documentation states, by simulation: looked at after every single interval."""

import random

import pytest

from xds.rollout.sequential_test import ALPHA, BETA, Shown, is_clear, shown, upper_bound

LIMIT = 0.02


def first_verdict(share: float, chance: random.Random, looks: int = 60, requests: int = 100) -> Shown:
    bad = 0
    for look in range(1, looks + 1):
        bad += sum(chance.random() < share for _ in range(requests))
        if (verdict := shown(bad, look * requests, limit=LIMIT)) is not Shown.NOTHING:
            return verdict
    return Shown.NOTHING


def often(share: float, verdict: Shown, runs: int = 600) -> float:
    chance = random.Random(1)
    return sum(first_verdict(share, chance) is verdict for _ in range(runs)) / runs


def test_a_share_at_the_limit_is_rarely_called_bad() -> None:
    assert often(LIMIT, Shown.BAD) <= ALPHA + 0.01, "a third of the tolerance is two standard deviations"


def test_a_share_of_twice_the_limit_is_rarely_called_good() -> None:
    assert often(2 * LIMIT, Shown.GOOD) <= BETA + 0.02


@pytest.mark.parametrize(
    ("bad", "requests", "limit", "verdict"),
    [
        (1, 20, 0.005, Shown.NOTHING),  # neither passes nor fails by luck
        (0, 20, 0.005, Shown.NOTHING),
        (0, 590, 0.005, Shown.NOTHING),
        (0, 600, 0.005, Shown.GOOD),
        (20, 20, 0.005, Shown.BAD),
        (5, 20, 0.005, Shown.NOTHING),
        (7, 100, 0.005, Shown.NOTHING),
        (8, 100, 0.005, Shown.BAD),
        (0, 10_000, 0.0, Shown.NOTHING),  # tested as 0.01 %
        (0, 30_000, 0.0, Shown.GOOD),
        (9, 10_000, 0.0, Shown.BAD),
        (20, 20, 1.0, Shown.GOOD),  # everything is within the limit
    ],
)
def test_what_requests_show(bad: int, requests: int, limit: float, verdict: Shown) -> None:
    assert shown(bad, requests, limit=limit) is verdict


@pytest.mark.parametrize(
    ("bad", "requests", "clear"),
    [
        (1, 1, False),
        (2, 2, False),
        (3, 3, True),
        (3, 6, False),
        (4, 8, True),
        (4, 9, False),
        (0, 0, False),
        (50, 100, True),
    ],
)
def test_a_failure_is_clear_from_the_third_of_three(bad: int, requests: int, clear: bool) -> None:
    assert is_clear(bad, requests, 0.005) is clear


def test_an_upper_bound_comes_down_with_the_number_of_requests() -> None:
    bounds = [upper_bound(requests // 100, requests) for requests in (0, 100, 1000, 100_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert 0.01 < bounds[-1] < 0.011
