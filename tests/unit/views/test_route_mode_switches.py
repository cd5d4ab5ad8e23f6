"""Which route modes a group is served after it was switched."""

from collections.abc import Mapping

from xds.compiler.route_sources import RouteMode
from xds.views.route_mode_switches import RouteModeSwitches, ServedModes

SHARED, SCOPED, LAZY = RouteMode.SHARED, RouteMode.SCOPED, RouteMode.LAZY


def test_a_group_that_was_never_seen_has_its_mode_alone() -> None:
    switches = RouteModeSwitches()
    assert switches.modes("edge/a", SHARED, now=0.0) == {SHARED}
    assert switches.expire(1e9) == {}


def test_every_change_is_kept_once() -> None:
    kept: list[Mapping[str, ServedModes]] = []
    switches = RouteModeSwitches(lambda served: kept.append(dict(served)))
    for _ in range(2):
        switches.modes("edge/a", SHARED, now=0.0)
    assert kept == [{"edge/a": ServedModes(SHARED, {})}]


def test_the_mode_before_lasts_a_drain_time_from_the_first_stream_on_also_over_a_restart() -> None:
    kept: dict[str, ServedModes] = {"sidecar/a": ServedModes(SHARED, {})}
    for now in (100.0, 400.0):
        switches = RouteModeSwitches(kept.update)
        switches.restore(kept)
        assert switches.modes("sidecar/a", LAZY, now) == {SHARED, LAZY}
    assert switches.expire(699.0) == {}
    assert switches.expire(700.0) == {"sidecar/a": {LAZY}}
    assert kept == {"sidecar/a": ServedModes(LAZY, {})}
    assert switches.next_expiry is None


def test_a_group_that_is_switched_twice_has_all_three_and_each_ends_in_its_time() -> None:
    switches = RouteModeSwitches()
    switches.modes("sidecar/a", SHARED, now=0.0)
    assert switches.modes("sidecar/a", SCOPED, now=100.0) == {SHARED, SCOPED}
    assert switches.modes("sidecar/a", LAZY, now=200.0) == {SHARED, SCOPED, LAZY}
    assert switches.next_expiry == 700.0
    assert switches.expire(750.0) == {"sidecar/a": {SCOPED, LAZY}}


def test_a_group_that_is_switched_back_has_the_mode_that_it_left() -> None:
    switches = RouteModeSwitches()
    switches.modes("edge/a", SHARED, now=0.0)
    switches.modes("edge/a", SCOPED, now=100.0)
    assert switches.modes("edge/a", SHARED, now=200.0) == {SHARED, SCOPED}
    assert switches.expire(900.0) == {"edge/a": {SHARED}}
