"""Services with one name in several naming groups: one is preferred, never a mixture, and that is said."""

from xds.rules.instance import Instance, ServiceId
from xds.sources.base import Event, InstancesChanged, Trouble
from xds.sources.health import SourceHealth
from xds.sources.nacos.group_merge import GroupMerge

REVIEWS = ServiceId("", "reviews")
A, B = (Instance("10.0.0.1", port) for port in (1, 2))


def test_the_preferred_group_wins_however_the_events_come() -> None:
    events: list[Event] = []
    merge = GroupMerge(("FIRST", "SECOND"), events.append, SourceHealth(events.append))
    first, second = merge.of("FIRST"), merge.of("SECOND")
    clash = Trouble(
        "service reviews is registered in groups FIRST, SECOND; that of FIRST is used unless its rule names "
        "another `group` (nacos.naming_groups)"
    )
    for take, instances, then in (
        (second, (B,), [InstancesChanged(REVIEWS, (B,), {"SECOND": (B,)})]),
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
