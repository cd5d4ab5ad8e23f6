"""Services as audiences see them."""

import pytest
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from hypothesis import given
from hypothesis import strategies as st

from xds.cache import Cache, Ref, View
from xds.pipeline import Edge, EdgeListener, Plane, Proxies, Sidecar, SidecarListeners
from xds.pipeline.compiled import CompiledService
from xds.rules.instance import Instance
from xds.rules.model import RuleDocument
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

ANYWHERE = [Instance("127.0.0.1", 80)]


def proxies() -> Proxies:
    return Proxies(lambda _: EdgeListener("127.0.0.1", 1), lambda _: SidecarListeners("127.0.0.1", 1, 2))


@pytest.fixture
def plane() -> Plane:
    return Plane(Cache(), proxies())


def service(name: str, *hosts: str, gateways: tuple[str, ...] = ("edge",)) -> CompiledService:
    rule = RuleDocument(service=name, hosts=hosts, gateways=gateways) if hosts else None
    return CompiledService.of(name, rule, f"{name}.yaml" if rule else name, ANYWHERE)


def domains(view: View, name: str) -> list[str]:
    resource = view.get(Ref(ROUTE, name))
    assert resource
    return [
        domain for host in RouteConfiguration.parse(resource.body).virtual_hosts for domain in host.domains
    ]


def test_an_edge_sees_the_hosts_of_its_group_and_their_clusters_only(plane: Plane) -> None:
    plane.apply({"a": service("a", "a.example.com"), "b": service("b", "b.example.com", gateways=("inner",))})
    plane.apply({"c": service("c")})
    view = plane.view_of(Edge("edge"))
    assert domains(view, "edge") == ["a.example.com"]
    assert set(view.resources(CLUSTER)) == set(view.resources(ENDPOINT)) == {"a"}
    assert domains(plane.view_of(Edge("inner")), "edge") == ["b.example.com"]
    assert domains(plane.view_of(Edge("nobody's")), "edge") == []


def test_a_view_is_the_same_whether_it_was_there_before_the_services_or_not(plane: Plane) -> None:
    early = plane.view_of(Edge("edge"))
    plane.apply({"a": service("a", "a.example.com"), "b": service("b", "b.example.com")})
    plane.apply({"b": None})
    late = Plane(Cache(), proxies())
    late.apply({"a": service("a", "a.example.com")})
    for type_url in (LISTENER, ROUTE, CLUSTER, ENDPOINT):
        assert early.version(type_url) == late.view_of(Edge("edge")).version(type_url)


def test_a_sidecar_sees_its_upstreams(plane: Plane) -> None:
    plane.apply({name: service(name) for name in "abc"})
    assert domains(plane.view_of(Sidecar("mesh")), "outbound") == ["a", "b", "c"]
    narrow = plane.view_of(Sidecar("mesh", upstreams=frozenset({"b"}), port=9080))
    assert domains(narrow, "outbound") == ["b"]
    assert set(narrow.resources(LISTENER)) == {"outbound", "inbound"}
    assert set(narrow.resources(CLUSTER)) == {"b", "inbound"}


def test_an_edit_touches_its_own_resources_and_the_routes(plane: Plane) -> None:
    plane.apply({"a": service("a", "a.example.com"), "b": service("b", "b.example.com")})
    view = plane.view_of(Edge("edge"))
    changed: list[dict[str, set[str]]] = []

    class Watcher:
        def changed(self, changes: object) -> None:
            assert isinstance(changes, dict)
            changed.append({type_url: set(names) for type_url, names in changes.items()})

    view.watch(Watcher())
    plane.apply({"a": service("a", "a.example.com", "www.a.example.com")})
    assert changed == [{ROUTE: {"edge"}}]


@given(st.lists(st.tuples(st.sampled_from(["a", "A", "b", "B*", "x y", "é"]), st.integers(0, 2))))
def test_names_that_envoy_takes_for_one_are_seen_once_and_bad_ones_never(
    changes: list[tuple[str, int]],
) -> None:
    plane = Plane(Cache(), proxies())
    view = plane.view_of(Sidecar("mesh"))
    there: dict[str, bool] = {}
    for name, what in changes:
        there.pop(name, None)
        with_rule = what == 2 and name in {"a", "A", "b"}
        if what:
            there[name] = with_rule
        ruled = RuleDocument(service=name) if with_rule else None
        plane.apply({name: CompiledService.of(name, ruled, name, ANYWHERE) if what else None})
    good = [name for name in there if name in {"a", "A", "b"}]
    expected = {
        min((each for each in good if each.lower() == name.lower()), key=lambda each: (not there[each], each))
        for name in good
    }
    assert domains(view, "outbound") == sorted(expected)
    assert {name for name in there if plane.is_seen(name)} == expected
