"""Services as node groups see them."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest

import pytest
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.routing import routing
from xds.cache import Cache, Changes, Ref, View
from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.compiler.route_sources import RouteMode
from xds.documents.identity import DocumentId, Origin
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import RuleDocument
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from xds.views import (
    CompiledService,
    EdgeGroup,
    ListenerSettings,
    NodeGroup,
    ServedModes,
    ServiceInputs,
    Services,
    SidecarGroup,
)

ANYWHERE = [Instance("127.0.0.1", 80)]


class World:
    """Services, changed at once and looked at by name."""

    def __init__(self) -> None:
        self.services = Services(
            Cache(),
            ListenerSettings(
                lambda _: EdgeListener("127.0.0.1", 1), lambda _: SidecarListeners("127.0.0.1", 1, 2)
            ),
        )

    def apply(self, services: Mapping[str, CompiledService | None], namespace: str = "") -> None:
        named = {ServiceId(namespace, name): service for name, service in services.items()}
        for _ in self.services.apply(named):
            pass

    def view_of(self, group: NodeGroup) -> View:
        return self.services.view_of(group, now=0.0).filled()


@pytest.fixture
def world() -> World:
    return World()


def service(name: str, *hosts: str, gateways: tuple[str, ...] = ("edge",)) -> CompiledService:
    rule = RuleDocument(service=name, hosts=hosts, gateways=gateways) if hosts else None
    origins = (Origin(DocumentId("", f"{name}.yaml"), "r1"),) if rule else ()
    return CompiledService.of(ServiceInputs(ServiceId("", name), routing(name, rule), origins, ANYWHERE))


def domains(view: View, name: str) -> list[str]:
    resource = view.get(Ref(ROUTE, name))
    assert resource
    return [
        domain for host in RouteConfiguration.parse(resource.body).virtual_hosts for domain in host.domains
    ]


def test_an_edge_sees_the_hosts_of_its_group_and_their_clusters_only(world: World) -> None:
    world.apply({"a": service("a", "a.example.com"), "b": service("b", "b.example.com", gateways=("inner",))})
    world.apply({"c": service("c")})
    view = world.view_of(EdgeGroup("edge"))
    assert domains(view, "edge") == ["a.example.com"]
    assert set(view.resources(CLUSTER)) == set(view.resources(ENDPOINT)) == {"a"}
    assert domains(world.view_of(EdgeGroup("inner")), "edge") == ["b.example.com"]
    assert domains(world.view_of(EdgeGroup("nobody's")), "edge") == []


def test_a_view_is_the_same_whether_it_was_there_before_the_services_or_not(world: World) -> None:
    early = world.view_of(EdgeGroup("edge"))
    world.apply({"a": service("a", "a.example.com"), "b": service("b", "b.example.com")})
    world.apply({"b": None})
    late = World()
    late.apply({"a": service("a", "a.example.com")})
    for type_url in (LISTENER, ROUTE, CLUSTER, ENDPOINT):
        assert early.version(type_url) == late.view_of(EdgeGroup("edge")).version(type_url)


def test_a_sidecar_sees_its_upstreams(world: World) -> None:
    world.apply({name: service(name) for name in "abc"})
    assert domains(world.view_of(SidecarGroup("mesh")), "outbound") == ["a", "b", "c"]
    narrow = world.view_of(SidecarGroup("mesh", upstreams=frozenset({"b"}), port=9080))
    assert domains(narrow, "outbound") == ["b"]
    assert set(narrow.resources(LISTENER)) == {"outbound", "inbound"}
    assert set(narrow.resources(CLUSTER)) == {"b", "inbound"}


def test_an_edit_touches_its_own_resources_and_the_routes(world: World) -> None:
    world.apply({"a": service("a", "a.example.com"), "b": service("b", "b.example.com")})
    view = world.view_of(EdgeGroup("edge"))
    changed: list[dict[str, set[str]]] = []

    class Watcher:
        def changed(self, changes: object) -> None:
            assert isinstance(changes, dict)
            changed.append({type_url: set(names) for type_url, names in changes.items()})

    view.watch(Watcher())
    world.apply({"a": service("a", "a.example.com", "www.a.example.com")})
    assert changed == [{ROUTE: {"edge"}}]


@given(st.lists(st.tuples(st.sampled_from(["a", "A", "b", "B*", "x y", "é"]), st.integers(0, 2))))
def test_names_that_envoy_takes_for_one_are_seen_once_and_bad_ones_never(
    changes: list[tuple[str, int]],
) -> None:
    world = World()
    view = world.view_of(SidecarGroup("mesh"))
    there: dict[str, bool] = {}
    for name, what in changes:
        there.pop(name, None)
        with_rule = what == 2 and name in {"a", "A", "b"}
        if what:
            there[name] = with_rule
        ruled = RuleDocument(service=name) if with_rule else None
        world.apply(
            {
                name: CompiledService.of(
                    ServiceInputs(ServiceId("", name), routing(name, ruled), (), ANYWHERE)
                )
                if what
                else None
            }
        )
    good = [name for name in there if name in {"a", "A", "b"}]
    expected = {
        min((each for each in good if each.lower() == name.lower()), key=lambda each: (not there[each], each))
        for name in good
    }
    assert domains(view, "outbound") == sorted(expected)
    assert {name for name in there if world.services.is_visible(ServiceId("", name))} == expected


def test_each_namespace_is_a_world_of_its_own(world: World) -> None:
    world.apply({"a": service("a", "a.example.com")})
    world.apply({"b": service("b", "b.example.com")}, "staging")
    assert domains(world.view_of(EdgeGroup("edge")), "edge") == ["a.example.com"]
    staging = world.view_of(EdgeGroup("edge", "staging"))
    assert domains(staging, "edge") == ["b.example.com"]
    world.apply({"b": None}, "staging")
    assert domains(staging, "edge") == []


def test_a_view_has_what_its_routes_require_of_services_that_it_does_not_see(world: World) -> None:
    mirror = service("mirror")
    caller = service("a", "a.example.com")
    with_mirror = replace(
        caller,
        requires=caller.requires | {Ref(CLUSTER, "mirror")},
        required_services=frozenset({"mirror"}),
    )
    view = world.view_of(EdgeGroup("edge"))
    world.apply({"a": caller, "mirror": mirror})
    assert set(view.resources(CLUSTER)) == {"a"}
    world.apply({"a": with_mirror})
    assert set(view.resources(CLUSTER)) == set(view.resources(ENDPOINT)) == {"a", "mirror"}
    assert domains(view, "edge") == ["a.example.com"], "it has clusters and no routes"
    world.apply({"mirror": None})
    assert set(view.resources(CLUSTER)) == {"a"}
    world.apply({"mirror": mirror})
    late = World()
    late.apply({"mirror": mirror, "a": with_mirror})
    assert late.view_of(EdgeGroup("edge")).version(CLUSTER) == view.version(CLUSTER)
    world.apply({"a": caller})
    assert set(view.resources(CLUSTER)) == {"a"}


def test_many_changes_come_in_parts_and_no_route_goes_to_a_cluster_that_is_not_there(world: World) -> None:
    view = world.view_of(EdgeGroup("edge"))
    names = [f"s{number}" for number in range(200)]
    old: dict[ServiceId, CompiledService | None] = {
        ServiceId("", f"old{number}"): service(f"old{number}", f"old{number}.example.com")
        for number in range(100)
    }
    for _ in world.services.apply(old):
        pass
    pauses = 0
    new = {ServiceId("", name): service(name, f"{name}.example.com") for name in names}
    for _ in world.services.apply({**dict.fromkeys(old), **new}):
        pauses += 1
        routes = view.get(Ref(ROUTE, "edge"))
        assert routes
        assert {name for _, name in routes.requires} <= set(view.resources(CLUSTER))
    assert pauses > 1
    assert set(view.resources(CLUSTER)) == set(names)


def test_a_document_that_is_renamed_is_the_origin_of_what_stays_the_same(world: World) -> None:
    view = world.view_of(EdgeGroup("edge"))
    world.apply({"a": service("a", "a.example.com")})
    renamed = (Origin(DocumentId("", "b.yaml"), "r1"),)
    rule = RuleDocument(service="a", hosts=("a.example.com",))
    inputs = ServiceInputs(ServiceId("", "a"), routing("a", rule), renamed, ANYWHERE)
    world.apply({"a": CompiledService.of(inputs)})
    for type_url in (ROUTE, CLUSTER, ENDPOINT):
        assert {resource.origins for resource in view.resources(type_url).values()} == {renamed}


def test_the_mode_before_a_switch_is_served_until_proxies_have_drained(world: World) -> None:
    scoped = Services(
        Cache(),
        ListenerSettings(
            lambda _: EdgeListener("127.0.0.1", 1, routes=RouteMode.SCOPED),
            lambda _: SidecarListeners("127.0.0.1", 1, 2),
        ),
    )
    scoped.switches.restore({"edge/edge": ServedModes(RouteMode.SHARED, {})})
    for _ in scoped.apply({ServiceId("", "a"): service("a", "a.example.com")}):
        pass
    view = scoped.view_of(EdgeGroup("edge"), now=1000.0).filled()
    assert set(view.resources(ROUTE)) == {"edge", "edge/a"}
    assert scoped.expire_modes(1500.0) == 1600.0
    assert set(view.resources(ROUTE)) == {"edge", "edge/a"}
    assert scoped.expire_modes(1600.0) is None
    assert set(view.resources(ROUTE)) == {"edge/a"}


@pytest.mark.parametrize("fills", [0, 1, 2, 5])
def test_a_view_that_is_filled_while_services_change_ends_with_what_there_is(fills: int) -> None:
    names = [f"s{number:03}" for number in range(300)]
    before = {name: service(name, f"{name}.example.com") for name in names}
    after: dict[str, CompiledService | None] = {**before, "s299": service("s299"), "s001": None}
    after |= {"s000": service("s000", "other.example.com"), "new": service("new", "new.example.com")}
    world = World()
    world.apply(before)
    group = EdgeGroup("edge")
    filling = world.services.view_of(group, now=0.0)
    watched = _Watcher()
    filling.watch(watched)
    pauses = filling.fill()
    for _ in range(fills):
        next(pauses)
    world.apply({name: change for name, change in after.items() if change is not before.get(name)})
    assert not list(pauses)  # the change had to fill it first
    world.services.leave(group)
    assert world.view_of(group) is filling
    late = World()
    late.apply(after)
    other = late.view_of(group)
    for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
        assert filling.version(type_url) == other.version(type_url)
    assert watched.calls


def test_several_fill_a_view_side_by_side(world: World) -> None:
    world.apply({f"s{number}": service(f"s{number}", f"s{number}.example.com") for number in range(300)})
    view = world.services.view_of(EdgeGroup("edge"), now=0.0)
    first, second = view.fill(), world.services.view_of(EdgeGroup("edge"), now=0.0).fill()
    pauses = sum(1 for pair in zip_longest(first, second) for _ in pair)
    assert pauses > 4
    assert len(view.resources(CLUSTER)) == 300


class _Watcher:
    def __init__(self) -> None:
        self.calls = 0

    def changed(self, changes: Changes) -> None:
        self.calls += 1
