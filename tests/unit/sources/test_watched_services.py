"""Which services are watched: those that somebody needs, and for a while those that somebody needed."""

from collections.abc import Set

import pytest

from xds.rules.instance import ServiceId
from xds.sources.watched_services import Needs, WatchedServices

A, B, C, EVERYTHING = (
    Needs("", frozenset("a")),
    Needs("", frozenset("b")),
    Needs("", frozenset("c")),
    Needs(""),
)
AB = Needs("", frozenset("ab"))

Step = tuple[str, Needs | None] | float
"""A holder with its needs, or seconds that pass."""


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.watched = WatchedServices(linger=10.0, clock=lambda: self.now)
        self.told: list[Set[str]] = []
        self.watched.follow("", self.told.append)

    def take(self, step: Step) -> None:
        if isinstance(step, float):
            self.now += step
            self.watched.expire()
        else:
            self.watched.hold(*step)

    @property
    def names(self) -> str:
        everything = "*" if self.watched.everything("") else ""
        return "".join(sorted(self.watched.names(""))) + everything


@pytest.mark.parametrize(
    ("steps", "names", "told"),
    [
        ([], "", []),
        ([("rule", A)], "a", ["a"]),
        ([("rule", A), ("view", AB)], "ab", ["a", "b"]),
        ([("rule", A), ("rule", B)], "ab", ["a", "b"]),
        ([("rule", A), ("rule", B), 10.0], "b", ["a", "b"]),
        # Somebody else needs it still.
        ([("rule", A), ("view", A), ("rule", None), 99.0], "a", ["a"]),
        # For a while it stays, and whoever comes back meanwhile has it at once.
        ([("view", A), ("view", None), 9.9], "a", ["a"]),
        ([("view", A), ("view", None), 9.9, ("view", A), 99.0], "a", ["a"]),
        ([("view", A), ("view", None), 9.9, ("view", A), ("view", None), 9.9], "a", ["a"]),
        ([("view", A), ("view", None), 10.0], "", ["a"]),
        ([("view", A), ("view", None), 10.0, ("view", A)], "a", ["a", "a"]),
        # One after the other ends.
        ([("x", A), ("y", B), ("x", None), 5.0, ("y", None), 5.0], "b", ["a", "b"]),
        ([("x", A), ("y", B), ("x", None), 5.0, ("y", None), 10.0], "", ["a", "b"]),
        # Everything is one thing that is needed or not.
        ([("view", EVERYTHING), ("rule", A)], "a*", ["", "a"]),
        ([("view", EVERYTHING), ("other", EVERYTHING), ("view", None), 99.0], "*", [""]),
        ([("view", EVERYTHING), ("view", None), 9.9], "*", [""]),
        ([("view", EVERYTHING), ("view", C), 10.0], "c", ["", "c"]),
        # What nobody had is nothing to let go.
        ([("view", None), ("view", Needs("", frozenset())), ("view", None), 99.0], "", []),
    ],
)
def test_what_is_watched(steps: list[Step], names: str, told: list[str]) -> None:
    world = World()
    for step in steps:
        world.take(step)
    assert world.names == names
    assert ["".join(sorted(each)) for each in world.told] == told


def test_a_block_holds_what_it_needs() -> None:
    world = World()
    with world.watched.holding(AB):
        world.take(99.0)
        assert world.names == "ab"
    world.take(99.0)
    assert world.names == ""


def test_namespaces_do_not_see_each_other() -> None:
    world = World()
    told: list[Set[str]] = []
    world.watched.follow("prod", told.append)
    world.watched.hold("view", Needs("prod", frozenset({"a"})))
    assert (world.told, told) == ([], [{"a"}])
    assert ServiceId("prod", "a") in world.watched
    assert ServiceId("", "a") not in world.watched
    world.watched.hold("view", EVERYTHING)
    world.take(99.0)
    assert ServiceId("prod", "a") not in world.watched
    assert ServiceId("", "z") in world.watched
    assert not world.watched.is_named(ServiceId("", "z"))


def test_what_is_registered_is_known_whether_it_is_watched_or_not() -> None:
    watched = WatchedServices()
    a = ServiceId("", "a")
    assert (watched.is_registered(a), watched.lacks("G", a), watched.registered("")) == (False, False, set())
    watched.list("", "G", {"b"})
    assert (watched.is_registered(a), watched.lacks("G", a)) == (False, True)
    watched.list("", "H", {"a"})
    assert (watched.is_registered(a), watched.lacks("G", a), watched.lacks("H", a)) == (True, True, False)
    watched.list("prod", "G", {"c"})
    assert watched.registered("") == {a, ServiceId("", "b")}
    assert watched.registered() == {a, ServiceId("", "b"), ServiceId("prod", "c")}
