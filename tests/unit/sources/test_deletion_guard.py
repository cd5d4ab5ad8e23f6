"""When a missing thing counts as deleted."""

from xds.sources.deletion_guard import DeletionGuard


def test_a_place_that_was_never_lost() -> None:
    guard = DeletionGuard(settle=5)
    guard.seen(present=0, missing=3, now=0)
    assert guard.accepts(0)
    assert guard.settles_in(0) is None


def test_a_place_that_came_back_must_hold_something_for_a_while() -> None:
    guard = DeletionGuard(settle=5)
    guard.lost()
    assert not guard.accepts(0)
    guard.seen(present=0, missing=2, now=10)
    assert guard.away
    assert not guard.accepts(1000)
    guard.seen(present=1, missing=1, now=1000)
    assert not guard.away
    assert not guard.accepts(1004)
    assert guard.settles_in(1004) == 1
    assert guard.accepts(1005)
    guard.seen(present=0, missing=2, now=1006)
    assert guard.accepts(1006)


def test_the_wait_grows_while_things_still_arrive() -> None:
    guard = DeletionGuard(settle=5)
    guard.lost()
    guard.seen(present=1, missing=9, now=0)
    guard.seen(present=2, missing=8, now=4)  # Doubles: until 14.
    assert not guard.accepts(13)
    guard.seen(present=3, missing=7, now=13)  # Doubles: until 33.
    assert not guard.accepts(32)
    guard.seen(present=3, missing=7, now=32)
    assert guard.accepts(33)


def test_the_wait_has_an_end() -> None:
    guard = DeletionGuard(settle=1)
    guard.lost()
    for present in range(1, 100):
        guard.seen(present=present, missing=100, now=0)
    assert guard.accepts(20)


def test_a_mass_deletion_waits_though_the_place_was_never_lost() -> None:
    guard = DeletionGuard(settle=5, mass=5)
    guard.seen(present=6, missing=5, now=0)
    assert guard.accepts(0)  # Less than half.
    guard.seen(present=5, missing=5, now=1)
    assert guard.settles_in(1) == 5
    guard.seen(present=5, missing=5, now=6)
    assert guard.accepts(6)
    guard.seen(present=5, missing=0, now=7)
    guard.seen(present=0, missing=5, now=8)
    assert guard.away


def test_everything_that_was_missing_is_back() -> None:
    guard = DeletionGuard(settle=5, mass=5)
    guard.seen(present=1, missing=5, now=0)
    guard.seen(present=6, missing=0, now=1)
    assert not guard.accepts(2)
    guard.seen(present=6, missing=0, now=20)
    guard.seen(present=5, missing=1, now=21)
    assert guard.accepts(21)


def test_consent_given_in_advance() -> None:
    guard = DeletionGuard(settle=5, mass=5, mass_deletion="at_once")
    guard.seen(present=0, missing=10, now=0)
    assert guard.accepts(0)
    guard.lost()
    assert not guard.accepts(1)
    guard.seen(present=0, missing=10, now=1)
    assert guard.accepts(1)


def test_consent_refused() -> None:
    guard = DeletionGuard(settle=5, mass=5, mass_deletion="never")
    guard.seen(present=1, missing=9, now=0)
    assert not guard.accepts(1000)
    guard.seen(present=9, missing=1, now=1001)
    assert guard.accepts(2000)
