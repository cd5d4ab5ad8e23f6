"""Services with one name in several naming groups: one is preferred, never a mixture, and that is said."""

from collections.abc import Callable

from xds.rules.instance import Instance, ServiceId
from xds.sources.base import Event, InstancesChanged, Trouble
from xds.sources.health import SourceHealth
from xds.sources.nacos.group_merge import GroupMerge
from xds.sources.watched_services import WatchedServices

REVIEWS = ServiceId("", "reviews")
A, B = (Instance("10.0.0.1", port) for port in (1, 2))


def test_the_preferred_group_wins_however_the_events_come() -> None:
    events: list[Event] = []
    watched = WatchedServices()
    merge = GroupMerge(("FIRST", "SECOND"), events.append, SourceHealth(events.append), watched)
    first, second = merge.of("FIRST"), merge.of("SECOND")
    clash = Trouble(
        "service reviews is registered in groups FIRST, SECOND; that of FIRST is used unless its rule names "
        "another `group` (nacos.naming_groups)"
    )
    for take, instances, then in (
        (second, (B,), [InstancesChanged(REVIEWS, (B,), {"SECOND": (B,)}, complete=False)]),
        (first, (A,), [clash, InstancesChanged(REVIEWS, (A,), {"FIRST": (A,), "SECOND": (B,)})]),
        (second, (B, A), [InstancesChanged(REVIEWS, (A,), {"FIRST": (A,), "SECOND": (B, A)})]),
        # Without instances it is still there: those of another program are not taken instead.
        (first, (), [InstancesChanged(REVIEWS, (), {"FIRST": (), "SECOND": (B, A)})]),
        (first, None, [Trouble(None), InstancesChanged(REVIEWS, (B, A), {"SECOND": (B, A)})]),
        (second, None, [InstancesChanged(REVIEWS, None)]),
    ):
        events.clear()
        take(InstancesChanged(REVIEWS, instances))
        assert [each for each in events if each != Trouble(None) or each in then] == then


def test_it_is_complete_once_every_group_that_has_the_service_was_read() -> None:
    events: list[Event] = []
    watched = WatchedServices()
    merge = GroupMerge(("FIRST", "SECOND"), events.append, SourceHealth(lambda _: None), watched)
    first, second = merge.of("FIRST"), merge.of("SECOND")

    def taken(take: Callable[[Event], None], instances: tuple[Instance, ...] | None, *, kept: bool) -> bool:
        take(InstancesChanged(REVIEWS, instances, complete=kept))
        last = events[-1]
        assert isinstance(last, InstancesChanged)
        return last.complete

    assert not taken(first, (A,), kept=True)  # whether the other has it is not known yet
    watched.list("", "SECOND", set())
    assert taken(first, (A,), kept=True)
    watched.list("", "SECOND", {"reviews"})
    assert not taken(first, (A,), kept=True)
    assert taken(second, (B,), kept=True)
    assert not taken(second, None, kept=False)  # let go, and still listed
    watched.list("", "SECOND", set())
    assert taken(first, (), kept=True)
    assert not taken(first, None, kept=False)
    assert events[-1] == InstancesChanged(REVIEWS, None, complete=False)


def test_a_clash_is_told_until_the_rule_names_a_group() -> None:
    events: list[Event] = []
    watched = WatchedServices()
    merge = GroupMerge(("FIRST", "SECOND"), lambda _: None, SourceHealth(events.append), watched)
    for group, instances in (("FIRST", (A,)), ("SECOND", (B,))):
        merge.of(group)(InstancesChanged(REVIEWS, instances))
    assert [isinstance(event, Trouble) and bool(event.reason) for event in events] == [True]
    watched.name_group(ServiceId("", "other"), "SECOND")
    watched.name_group(REVIEWS, "SECOND")
    assert events[1:] == [Trouble(None)]
    merge.of("SECOND")(InstancesChanged(REVIEWS, (B, A)))
    assert len(events) == 2
    watched.name_group(REVIEWS, None)
    assert events[2:] == events[:1]
