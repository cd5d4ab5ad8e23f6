import asyncio

import pytest

from xds.cache import Changes, Ref, Resource, View
from xds.server.coalescer import ChangeCoalescers
from xds.type_urls import CLUSTER, ENDPOINT


class Member:
    """Notes what it is told: by name, the body that was there before."""

    def __init__(self) -> None:
        self.told: list[dict[str, bytes | None]] = []

    def changed(self, changes: Changes) -> None:
        self.told.append(
            {name: was.body if was else None for before in changes.values() for name, was in before.items()}
        )


def cluster(name: str, body: bytes) -> Resource:
    return Resource.of(CLUSTER, name, body)


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_changes_within_a_turn_of_the_loop_are_told_as_one_from_the_first_state() -> None:
    view, members, coalescers = View(), [Member(), Member()], ChangeCoalescers()
    view.apply([cluster("a", b"1")])
    for member in members:
        coalescers.join(view, member)
    for body in (b"2", b"3", b"4"):
        view.apply([cluster("a", body), cluster("b", body)])
    view.apply([Resource.of(ENDPOINT, "e", b"1")], drop=[Ref(CLUSTER, "a")])
    assert members[0].told == []
    await turn()
    view.apply([cluster("b", b"5")])
    await turn()
    await turn()
    for member in members:
        assert member.told == [{"a": b"1", "b": None, "e": None}, {"b": b"4"}]


async def test_who_looks_at_the_view_catches_up_first_and_is_told_nothing_twice() -> None:
    view, member, coalescers = View(), Member(), ChangeCoalescers()
    coalescer = coalescers.join(view, member)
    view.apply([cluster("a", b"1")])
    coalescer.flush()
    assert member.told == [{"a": None}]
    await turn()
    assert member.told == [{"a": None}]


async def test_who_joins_is_told_of_nothing_that_was_there_then() -> None:
    view, early, late, coalescers = View(), Member(), Member(), ChangeCoalescers()
    coalescers.join(view, early)
    view.apply([cluster("a", b"1")])
    coalescers.join(view, late)
    await turn()
    assert (early.told, late.told) == ([{"a": None}], [])


async def test_a_view_is_watched_as_long_as_anybody_is_there() -> None:
    view, one, other, coalescers = View(), Member(), Member(), ChangeCoalescers()
    coalescers.join(view, one)
    coalescers.join(view, other)
    coalescers.leave(view, one)
    assert view.watched
    view.apply([cluster("a", b"1")])
    coalescers.leave(view, other)
    assert not view.watched
    await turn()
    assert (one.told, other.told) == ([], [])
    coalescers.join(view, one)
    view.apply([cluster("a", b"2")])
    await turn()
    assert one.told == [{"a": b"1"}]


async def test_after_a_telling_that_took_long_the_next_one_waits_and_takes_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)

    class Slow(Member):
        def changed(self, changes: Changes) -> None:
            nonlocal now
            super().changed(changes)
            now += 1.0

    view, member, coalescers = View(), Slow(), ChangeCoalescers()
    coalescer = coalescers.join(view, member)
    view.apply([cluster("a", b"1")])
    assert not coalescer.settled
    await turn()
    assert coalescer.settled
    for body in (b"2", b"3"):
        view.apply([cluster("a", body)])
        await turn()
    assert member.told == [{"a": None}]
    assert not coalescer.settled
    now = 106.0
    await turn()
    assert member.told == [{"a": None}, {"a": b"1"}]
    assert coalescer.settled
