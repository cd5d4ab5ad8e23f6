"""Which nodes get changes first."""

import pytest

from xds.views import Cohorts, EdgeGroup, Stage, node_group_of
from xds.wire import Node


def node(number: int, **labels: str) -> Node:
    return Node(id=f"edge-{number}", cluster="edge", metadata=labels)


def cohorts(*stages: Stage) -> Cohorts:
    return Cohorts(node_group_of, lambda group: stages if group == "edge" else ())


def cohort_of(found: Cohorts, one: Node) -> int:
    group = found.group_of(one)
    assert isinstance(group, EdgeGroup)
    return group.cohort


def test_so_many_that_connect_first_are_the_first_cohort() -> None:
    found = cohorts(Stage(count=2))
    for number in range(4):
        found.group_of(node(number))
        found.opened(node(number))
    assert [cohort_of(found, node(number)) for number in range(4)] == [0, 0, 1, 1]


def test_a_place_is_free_when_the_last_stream_of_its_node_ends() -> None:
    found = cohorts(Stage(count=1))
    for _ in range(2):
        found.group_of(node(0))
        found.opened(node(0))
    assert cohort_of(found, node(1)) == 1
    found.closed(node(0))
    assert cohort_of(found, node(2)) == 1
    found.closed(node(0))
    assert cohort_of(found, node(3)) == 0


def test_a_share_is_the_same_nodes_each_time() -> None:
    first, second = cohorts(Stage(share=10.0)), cohorts(Stage(share=10.0), Stage(share=30.0))
    tenth = [number for number in range(2000) if cohort_of(first, node(number)) == 0]
    assert 140 < len(tenth) < 260
    assert tenth == [number for number in range(2000) if cohort_of(second, node(number)) == 0]


def test_labels_choose_nodes() -> None:
    found = cohorts(Stage(labels={"tier": "canary"}))
    assert cohort_of(found, node(1, tier="canary")) == 0
    assert cohort_of(found, node(2, tier="live")) == 1


@pytest.mark.parametrize("cluster", ["edge", "other"])
def test_a_group_without_stages_is_one_cohort(cluster: str) -> None:
    found = Cohorts(node_group_of, lambda _: ())
    assert found.group_of(Node(id="n", cluster=cluster)) == EdgeGroup(cluster)


def test_nodes_come_back_into_their_cohorts_after_a_restart() -> None:
    seats: dict[str, int | None] = {}
    first = cohorts(Stage(count=1))
    first.seated = seats.__setitem__
    for number in range(2):
        first.group_of(node(number))
        first.opened(node(number))
    assert list(seats.values()) == [0]
    first.hold()
    first.closed(node(0))
    second = cohorts(Stage(count=1))
    second.restore({seat: cohort for seat, cohort in seats.items() if cohort is not None})
    assert cohort_of(second, node(1)) == 1
    assert second.awaited(100.0) == {0}
    assert cohort_of(second, node(0)) == 0
    assert second.awaited(101.0) == set()


def test_nodes_that_do_not_come_back_are_forgotten() -> None:
    seats: dict[str, int | None] = {}
    first = cohorts(Stage(count=1))
    first.seated = seats.__setitem__
    first.group_of(node(0))
    second = cohorts(Stage(count=1))
    second.seated = seats.__setitem__
    second.restore({seat: cohort for seat, cohort in seats.items() if cohort is not None})
    assert second.awaited(100.0) == {0}
    assert second.awaited(161.0) == set()
    assert set(seats.values()) == {None}
    assert cohort_of(second, node(1)) == 0
