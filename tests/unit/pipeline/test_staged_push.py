"""Which cohort is served which version, while a change is pushed in stages."""

import pytest

from tests.unit.pipeline.test_served_versions import ANYWHERE, version
from xds.pipeline.staged_push import StagedPushes
from xds.rules.instance import ServiceId

A = ServiceId("", "a")


class World:
    """Pushes with three cohorts, the second of which soaks for 100 s."""

    def __init__(self) -> None:
        self.pushes = StagedPushes([0.0, 100.0])
        self.pushes.offer(A, version("a", "r1"))
        self.pushes.begin()
        self.have: set[int] = set()

    def offer(self, revision: str) -> None:
        self.pushes.offer(A, version("a", revision))

    def advance(self, now: float) -> tuple[bool, bool]:
        advanced, over = self.pushes.advance(now, lambda _, cohort: cohort in self.have)
        return A in advanced, A in over

    def served(self) -> list[str | None]:
        found = [self.pushes.served(A, cohort, lambda _: ANYWHERE) for cohort in self.pushes.cohorts]
        return [compiled.origins[0].revision if compiled else None for compiled in found]


@pytest.fixture
def world() -> World:
    return World()


def test_each_cohort_gets_a_change_when_those_before_it_have_it_and_have_soaked(world: World) -> None:
    assert world.served() == ["r1", "r1", "r1"]
    world.offer("r2")
    assert world.served() == ["r2", "r1", "r1"]
    assert world.advance(0.0) == (False, False)
    world.have = {0}
    assert world.advance(1.0) == (True, False)
    assert world.served() == ["r2", "r2", "r1"]
    world.have = {0, 1}
    assert world.advance(2.0) == (False, False)
    assert world.advance(101.0) == (False, False)
    assert world.advance(102.0) == (True, False)
    assert world.served() == ["r2", "r2", "r2"]
    assert world.advance(103.0) == (False, False)
    world.have = {0, 1, 2}
    assert world.advance(104.0) == (False, True)
    assert not world.pushes.staged


def test_a_node_that_falls_behind_begins_the_soak_again(world: World) -> None:
    world.offer("r2")
    world.have = {0, 1}
    world.advance(0.0)
    world.advance(1.0)
    world.have = {0}
    world.advance(50.0)
    world.have = {0, 1}
    assert world.advance(101.0) == (False, False)
    assert world.advance(201.0) == (True, False)


def test_a_version_that_is_taken_back_ends_the_push(world: World) -> None:
    world.offer("r2")
    world.offer("r1")
    assert world.served() == ["r1", "r1", "r1"]
    assert not world.pushes.staged


def test_an_edit_of_what_is_pushed_begins_again_from_what_all_have(world: World) -> None:
    world.offer("r2")
    world.have = {0}
    world.advance(0.0)
    world.offer("r3")
    assert world.served() == ["r3", "r1", "r1"]


def test_a_new_service_is_pushed_and_one_that_is_gone_is_gone_for_all(world: World) -> None:
    new = ServiceId("", "new")
    world.pushes.offer(new, version("new", "r1"))
    assert [world.pushes.served(new, cohort, lambda _: ()) is None for cohort in world.pushes.cohorts] == [
        False,
        True,
        True,
    ]
    world.pushes.offer(A, None)
    assert world.served() == [None, None, None]


def test_at_the_start_and_without_stages_all_are_served_at_once() -> None:
    pushes = StagedPushes([0.0])
    pushes.offer(A, version("a", "r1"))
    pushes.offer(A, version("a", "r2"))
    assert not pushes.staged
    pushes = StagedPushes([])
    pushes.begin()
    pushes.offer(A, version("a", "r1"))
    pushes.offer(A, version("a", "r2"))
    assert not pushes.staged


def resumed(revision: str) -> World:
    """Return a world after a restart, in which ``r2`` had reached the first two cohorts."""
    world = World()
    world.pushes = StagedPushes([0.0, 100.0])
    world.pushes.resume(A, version("a", "r1"), version("a", "r2").key, 1)
    world.offer(revision)
    world.pushes.begin()
    return world


def test_a_restart_leaves_a_push_where_it_was_and_begins_its_soak_again() -> None:
    world = resumed("r2")
    assert world.served() == ["r2", "r2", "r1"]
    world.have = {0, 1}
    assert world.advance(1000.0) == (False, False)
    assert world.advance(1099.0) == (False, False)
    assert world.advance(1100.0) == (True, False)
    assert world.served() == ["r2", "r2", "r2"]


def test_an_edit_while_down_begins_again_or_ends_the_push() -> None:
    assert resumed("r3").served() == ["r3", "r1", "r1"]
    world = resumed("r1")
    assert world.served() == ["r1", "r1", "r1"]
    assert not world.pushes.staged
