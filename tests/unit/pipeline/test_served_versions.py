"""Which version of each service is served, whatever clients reject."""

from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.cache import Cache, Ref
from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.documents import DocumentId, Origin
from xds.pipeline.served_versions import ServedVersions, Version
from xds.protocol import Rejected
from xds.protocol.events import Change
from xds.routing import routing_of
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import RuleDocument
from xds.status import Quarantine
from xds.type_urls import CLUSTER, ROUTE
from xds.views import CompiledService, EdgeGroup, ListenerSettings, NodeGroup, ServiceInputs, Services
from xds.wire import Status

GROUP = EdgeGroup("edge")
ANYWHERE = (Instance("127.0.0.1", 80),)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def version(name: str, revision: str, *, host: str = "", gateway: str = "edge") -> Version:
    """Return a version of a service that takes its instances from the naming group called as its revision."""
    hosts = (host or f"{revision}.{name}.example.com",)
    rule = RuleDocument(service=name, group=revision, hosts=hosts, gateways=(gateway,))
    routing = routing_of(name, rule, NOW)
    origins = (Origin(DocumentId("", f"{name}.yaml"), revision),)
    inputs = ServiceInputs(ServiceId("", name), routing, origins, ANYWHERE)
    return Version(CompiledService.of(inputs), inputs)


class World:
    """Services, one view of them, and a client that takes what is not bad."""

    def __init__(self) -> None:
        listeners = ListenerSettings(
            lambda _: EdgeListener("127.0.0.1", 1), lambda _: SidecarListeners("127.0.0.1", 1, 2)
        )
        self.services = Services(Cache(), listeners, changed=self._changed)
        self.view = self.services.view_of(GROUP, now=0.0).filled()
        self.versions = ServedVersions(self.services)
        self.bad: set[tuple[str, str]] = set()
        self.held = self.view.get(Ref(ROUTE, "edge"))
        self.rejections = 0
        self.quarantined: list[Quarantine] = []

    def _changed(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        self.versions.view_changed(group, generation, services)

    def edit(self, **revisions: str) -> None:
        self.offer(*(version(name, revision) for name, revision in revisions.items()))

    def offer(self, *versions: Version) -> None:
        for each in versions:
            self.versions.offer(each.compiled.id, each, None)
        self.serve({each.compiled.id for each in versions})

    def acknowledge(self) -> list[str]:
        """Have the client catch up; return the services that are acknowledged by that."""
        found, _ = self.versions.acknowledge(GROUP, self.view.generation)
        return sorted(service.name for service in found)

    def serve(self, services: set[ServiceId]) -> None:
        versions = {one: self.versions.served(one, lambda _: ANYWHERE) for one in services}
        compiled = {one: version.compiled if version else None for one, version in versions.items()}
        for _ in self.services.apply(compiled):
            pass
        early = self.versions.applied(services)
        for group, generation in early.acknowledged:
            self.versions.acknowledge(group, generation)
        for group, event, node in early.rejected:
            found, again = self.versions.reject(group, event, node, 0.0)
            self.quarantined += found
            self.serve(again)

    def answer(self) -> bool:
        """Have the client answer what it is sent; return whether anything was served anew for it."""
        sent = self.view.get(Ref(ROUTE, "edge"))
        assert sent
        made_from = {(origin.document.name, origin.revision) for origin in sent.origins}  # type: ignore[attr-defined]
        if made_from.isdisjoint(self.bad):
            self.held = sent
            _, again = self.versions.acknowledge(GROUP, self.view.generation)
        else:
            self.rejections += 1
            event = Rejected(ROUTE, {"edge": Change(self.held, sent)}, Status(3, "no"))
            found, again = self.versions.reject(GROUP, event, "edge-1", 0.0)
            self.quarantined += found
        self.serve(again)
        return bool(again)

    def settle(self) -> None:
        for _ in range(1000):
            if not self.answer():
                return
        pytest.fail("it does not come to rest")

    def served(self, name: str) -> str | None:
        compiled = self.services.get(ServiceId("", name))
        return compiled.origins[0].revision if compiled else None


@pytest.fixture
def world() -> World:
    return World()


def test_a_single_suspect_is_quarantined_and_a_new_revision_lifts_it(world: World) -> None:
    world.edit(a="r1", b="r1")
    world.settle()
    world.bad = {("a.yaml", "r2")}
    world.edit(a="r2")
    world.settle()
    assert world.served("a") == "r1"
    [quarantine] = world.quarantined
    assert (quarantine.service.name, quarantine.served, quarantine.node) == ("a", "r1", "edge-1")
    world.edit(b="r2")
    world.settle()
    assert (world.served("a"), world.served("b")) == ("r1", "r2")
    assert world.versions.offer(ServiceId("", "a"), version("a", "r3"), None), "it is lifted"
    world.serve({ServiceId("", "a")})
    world.settle()
    assert world.served("a") == "r3"
    assert world.rejections == 1


def test_merged_changes_do_not_hide_the_one_at_fault(world: World) -> None:
    world.edit(a="r1", b="r1")
    world.settle()
    world.bad = {("a.yaml", "r2")}
    world.edit(a="r2")
    world.edit(b="r2")
    world.settle()
    assert [one.service.name for one in world.quarantined] == ["a"]
    assert (world.served("a"), world.served("b")) == ("r1", "r2")


def test_what_somebody_acknowledged_is_no_suspect(world: World) -> None:
    world.edit(a="r1")
    world.settle()
    event = Rejected(ROUTE, {"edge": Change(None, world.view.get(Ref(ROUTE, "edge")))}, Status(3, "old"))
    assert world.versions.reject(GROUP, event, "edge-2", 0.0) == ([], set())
    assert world.served("a") == "r1"


def test_what_is_rejected_before_all_views_have_a_version_counts_once_they_have(world: World) -> None:
    world.edit(a="r1")
    world.settle()
    service = ServiceId("", "a")
    world.versions.offer(service, version("a", "r2"), None)
    for _ in world.services.apply({service: version("a", "r2").compiled}):
        pass
    event = Rejected(ROUTE, {"edge": Change(world.held, world.view.get(Ref(ROUTE, "edge")))}, Status(3, "no"))
    assert world.versions.reject(GROUP, event, "edge-1", 0.0) == ([], set())
    early = world.versions.applied([service])
    assert early.rejected == [(GROUP, event, "edge-1")]
    group, rejected, node = early.rejected[0]
    found, again = world.versions.reject(group, rejected, node, 0.0)
    assert ([one.service for one in found], again) == ([service], {service})


def test_who_rejects_the_same_as_another_blames_nobody_of_those_that_are_tried(world: World) -> None:
    world.edit(a="r1", b="r1")
    world.settle()
    world.bad = {("b.yaml", "r2")}
    world.edit(a="r2", b="r2")
    sent = world.view.get(Ref(ROUTE, "edge"))
    event = Rejected(ROUTE, {"edge": Change(world.held, sent)}, Status(3, "no"))
    for node in ("edge-1", "edge-2", "edge-3"):
        assert world.versions.reject(GROUP, event, node, 0.0)[0] == []
    world.serve({ServiceId("", "a"), ServiceId("", "b")})
    world.settle()
    assert [one.service.name for one in world.quarantined] == ["b"]
    assert (world.served("a"), world.served("b")) == ("r2", "r1")


def test_a_version_that_nobody_was_sent_is_no_suspect(world: World) -> None:
    world.edit(a="r1")
    sent = Change(None, world.view.get(Ref(ROUTE, "edge")))
    world.versions.offer(ServiceId("", "a"), version("a", "r2"), None)
    event = Rejected(ROUTE, {"edge": sent}, Status(3, "no"))
    assert world.versions.reject(GROUP, event, "edge-1", 0.0) == ([], set())


def test_of_what_is_not_served_any_more_nothing_follows(world: World) -> None:
    world.edit(a="r1")
    world.settle()
    world.edit(a="r2")
    late = Rejected(ROUTE, {"edge": Change(world.held, world.view.get(Ref(ROUTE, "edge")))}, Status(3, "no"))
    world.edit(a="r3")
    assert world.versions.reject(GROUP, late, "edge-1", 0.0) == ([], set())


def test_instances_of_a_quarantined_service_go_on_changing(world: World) -> None:
    world.edit(a="r1")
    world.settle()
    world.bad = {("a.yaml", "r2")}
    world.edit(a="r2")
    world.settle()
    groups = {"r1": (Instance("127.0.0.9", 80),), "r2": (Instance("127.0.0.8", 80),)}
    moved = world.versions.served(ServiceId("", "a"), lambda group: groups[group or ""])
    assert moved
    assert b"127.0.0.9" in moved.compiled.endpoints[0].body
    assert moved.key[0].revision == "r1"


def test_of_clusters_the_ones_that_are_named_are_at_fault(world: World) -> None:
    world.edit(a="r1", b="r1", c="r1")
    world.settle()
    world.edit(a="r2", b="r2", c="r2")
    changes = {name: Change(None, world.view.get(Ref(CLUSTER, name))) for name in "abc"}
    said = Status(3, "Error adding/updating cluster(s) b: no such policy")
    # The clusters are the same in all revisions, so what the client holds must differ by their origins.
    found, again = world.versions.reject(GROUP, Rejected(CLUSTER, changes, said), "edge-1", 0.0)
    assert [one.service.name for one in found] == ["b"]
    assert again == {ServiceId("", "b")}


def test_suspects_are_served_again_if_nobody_is_left_to_tell(world: World) -> None:
    world.edit(a="r1", b="r1", c="r1", d="r1")
    world.bad = {("a.yaml", "r1")}
    world.answer()
    assert world.versions.trying
    assert not world.versions.tried_too_long(10.0)
    assert world.versions.tried_too_long(20.0)
    world.serve(world.versions.give_up_trials())
    assert {world.served(name) for name in "abcd"} == {"r1"}


def test_an_edit_of_what_is_tried_does_not_keep_the_others_waiting(world: World) -> None:
    world.edit(a="r2")
    world.answer()
    world.bad = {("a.yaml", "r1")}
    world.edit(a="r1", b="r1")
    world.answer()
    assert world.served("b") is None, "it is held back"
    world.edit(a="r2")
    world.serve(world.versions.try_next())
    world.settle()
    assert (world.served("a"), world.served("b")) == ("r2", "r1")


def test_an_answer_costs_what_changed_in_the_view_of_its_client(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.offer(*(version(f"unseen{number}", "r1", gateway="nobody") for number in range(300)))
    world.edit(**{f"seen{number}": "r1" for number in range(300)})
    world.settle()
    assert world.acknowledge() == []
    looked_at: list[str] = []
    shows = world.services.shows

    def counting(group: NodeGroup, service: ServiceId) -> bool:
        looked_at.append(service.name)
        return shows(group, service)

    monkeypatch.setattr(world.services, "shows", counting)
    world.edit(seen1="r2", seen2="r2")
    world.offer(version("unseen1", "r2", gateway="nobody"))
    assert world.acknowledge() == ["seen1", "seen2"]
    assert world.acknowledge() == []
    assert sorted(looked_at) == ["seen1", "seen2"]


def test_a_rejection_costs_what_it_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.edit(**{f"s{number}": "r1" for number in range(300)})
    held = world.view.get(Ref(ROUTE, "edge"))
    world.edit(s7="r2")
    sent = world.view.get(Ref(ROUTE, "edge"))
    looked_at: list[str] = []
    key = Version.key.fget  # type: ignore[attr-defined]  # a property's function

    def counting(version: Version) -> object:
        looked_at.append(version.compiled.id.name)
        return key(version)

    monkeypatch.setattr(Version, "key", property(counting))
    event = Rejected(ROUTE, {"edge": Change(held, sent)}, Status(3, "no"))
    [quarantine], again = world.versions.reject(GROUP, event, "edge-1", 0.0)
    assert quarantine.service == ServiceId("", "s7")
    assert {service.name for service in again} == set(looked_at) == {"s7"}


def test_what_is_held_back_is_edited_at_the_cost_of_itself(world: World) -> None:
    names = [f"s{number}" for number in range(8)]
    world.bad = {(f"{name}.yaml", "r1") for name in names}
    world.edit(**dict.fromkeys(names, "r1"))
    world.answer()
    assert world.versions.trying
    world.edit(**dict.fromkeys(names, "r2"))
    assert [world.served(name) for name in names] == ["r2"] * 8
    world.serve(world.versions.give_up_trials())
    world.settle()
    assert not world.versions.trying
    assert [world.served(name) for name in names] == ["r2"] * 8


def test_an_answer_that_comes_before_all_views_are_changed_counts_afterwards(world: World) -> None:
    service, first, second = ServiceId("", "a"), version("a", "r1"), version("a", "r2")
    world.edit(a="r1")
    before = world.view.generation
    world.versions.offer(service, second, None)
    assert world.versions.acknowledge(GROUP, before)[0] == [], "that was an answer to the version before"
    for _ in world.services.apply({service: second.compiled}):
        pass
    [answered] = world.versions.applied({service}).acknowledged
    assert world.versions.acknowledge(*answered)[0] == []
    world.versions.offer(service, first, None)
    for _ in world.services.apply({service: first.compiled}):
        pass
    assert world.acknowledge() == [], "other views may have the version before still"
    [answered] = world.versions.applied({service}).acknowledged
    assert world.versions.acknowledge(*answered)[0] == [service]
    assert world.versions.applied({service}).acknowledged == []


def test_a_version_that_looks_the_same_is_acknowledged_by_the_next_answer(world: World) -> None:
    world.offer(version("a", "r1", host="a.example.com"))
    world.settle()
    before = world.view.generation
    world.offer(version("a", "r2", host="a.example.com"))
    assert world.view.generation == before
    assert world.acknowledge() == ["a"]


def test_a_service_that_comes_to_be_required_is_acknowledged_by_who_gets_it(world: World) -> None:
    world.offer(version("b", "r1", gateway="nobody"))
    caller = version("a", "r1")
    world.offer(caller)
    assert world.acknowledge() == ["a"]
    callee = ServiceId("", "b")
    before = world.view.generation
    now = version("a", "r2")
    world.offer(replace(now, compiled=replace(now.compiled, required_services=frozenset({"b"}))))
    assert world.versions.acknowledge(GROUP, before)[0] == [], "it has nothing of them yet"
    assert world.acknowledge() == ["a", "b"]
    assert world.versions.acknowledged(callee)


def test_of_a_view_that_is_made_anew_nothing_of_before_counts(world: World) -> None:
    for revision in ("r1", "r2", "r3"):
        world.edit(a=revision)
    before = world.view.generation
    world.services.leave(GROUP)
    world.view = world.services.view_of(GROUP, now=0.0).filled()
    assert world.view.generation < before
    assert world.acknowledge() == ["a"]


NAMES = [f"s{number}" for number in range(9)]


@given(
    st.lists(
        st.tuples(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 4), min_size=1), st.booleans()),
        max_size=6,
    ),
    st.sets(st.tuples(st.sampled_from(NAMES), st.integers(1, 4))),
)
def test_in_the_end_all_good_versions_are_served_and_no_bad_one(
    edits: list[tuple[dict[str, int], bool]], bad: set[tuple[str, int]]
) -> None:
    world = World()
    world.bad = {(f"{name}.yaml", f"r{revision}") for name, revision in bad}
    latest: dict[str, int] = {}
    for revisions, answered in edits:
        world.edit(**{name: f"r{revision}" for name, revision in revisions.items()})
        latest |= revisions
        if answered:
            world.answer()
    world.settle()
    for name, revision in latest.items():
        if (name, revision) not in bad:
            assert world.served(name) == f"r{revision}"
        else:
            assert world.served(name) != f"r{revision}"
            assert world.versions.quarantined(ServiceId("", name))
    assert not world.versions.trying
