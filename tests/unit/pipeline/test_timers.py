"""When services change by themselves."""

from hypothesis import given
from hypothesis import strategies as st

from xds.pipeline.timers import Timers
from xds.rules.instance import ServiceId

A, B = ServiceId("", "a"), ServiceId("", "b")


def test_a_time_is_due_once() -> None:
    timers = Timers()
    timers.put(A, 10.0)
    timers.put(B, 20.0)
    assert not timers.due(9.0)
    assert timers.next == 10.0
    assert timers.due(10.0)
    assert timers.take(10.0) == {A}
    assert not timers.due(10.0)
    assert timers.take(25.0) == {B}
    assert timers.next is None


def test_a_clock_that_is_set_forward_makes_due_what_it_passes() -> None:
    timers = Timers()
    timers.put(A, 1000.0)
    timers.put(B, 2000.0)
    assert not timers.due(0.0)
    assert timers.due(1e9)
    assert timers.take(1e9) == {A, B}


def test_after_a_clock_was_set_back_all_that_ever_had_a_time_are_due() -> None:
    timers = Timers()
    timers.put(A, 1000.0)
    assert timers.due(1000.0)
    assert timers.take(1000.0) == {A}
    assert not timers.due(999.0), "as much as a clock is corrected"
    assert timers.due(500.0)
    assert timers.take(500.0) == {A}


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.none() | st.floats(0, 100))), st.floats(0, 100))
def test_the_last_time_counts(puts: list[tuple[ServiceId, float | None]], now: float) -> None:
    timers = Timers()
    for service, when in puts:
        timers.put(service, when)
    last = dict(puts)
    assert timers.next == min((when for when in last.values() if when is not None), default=None)
    assert timers.take(now) == {one for one, when in last.items() if when is not None and when <= now}
