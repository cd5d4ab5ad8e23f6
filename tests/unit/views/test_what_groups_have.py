"""What each kind of group has of a service in its view, through edits, by route mode."""

from collections.abc import Mapping, Set
from typing import Any

import pytest

from tests.harness.routing import routing
from xds.cache import Cache, Ref, View
from xds.compiler.certificates import Certificate
from xds.compiler.listeners import EdgeListener, Https, SidecarListeners
from xds.compiler.route_sources import RouteMode
from xds.documents.identity import DocumentId, Origin
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import RuleDocument
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, VIRTUAL_HOST
from xds.views import (
    CompiledService,
    EdgeGroup,
    GrpcClientGroup,
    ListenerSettings,
    NodeGroup,
    ServiceInputs,
    Services,
    SidecarGroup,
)
from xds.wire.descriptors import message_class

Names = dict[str, set[str]]
"""The names of the resources of some types."""


class World:
    """Services with one host each, and the names that a view has."""

    def __init__(self, mode: RouteMode = RouteMode.SHARED) -> None:
        self.told: list[tuple[NodeGroup, int, set[str], bool]] = []
        self.certificates: list[Certificate] = []
        settings = ListenerSettings(
            lambda _: EdgeListener("127.0.0.1", 1, mode, https=Https(2)),
            lambda _: SidecarListeners("127.0.0.1", 1, 2, mode),
            lambda _: self.certificates,
        )
        self.services = Services(Cache(), settings, changed=self._changed)

    def _changed(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        self.told.append((group, generation, {service.name for service in services}, sent))

    def view_of(self, group: NodeGroup) -> View:
        return self.services.view_of(group, now=0.0).filled()

    def apply(self, cohort: int = 0, **hosts: str | tuple[str, ...] | None) -> None:
        """Serve services with these hosts; None: no more."""
        named = {
            ServiceId("", name): None if host is None else service(name, host) for name, host in hosts.items()
        }
        for _ in self.services.apply(named, cohort):
            pass


def service(name: str, hosts: str | tuple[str, ...]) -> CompiledService:
    hosts = (hosts,) if isinstance(hosts, str) else hosts
    rule = RuleDocument(service=name, hosts=hosts, gateways=("edge",))
    origins = (Origin(DocumentId("", f"{name}.yaml"), hosts[0]),)
    instances = [Instance("127.0.0.1", 80)]
    return CompiledService.of(
        ServiceInputs(ServiceId("", name), routing(name, rule), origins, instances, grpc_clients=True)
    )


def names(view: View, *type_urls: str) -> Names:
    return {type_url: set(view.resources(type_url)) for type_url in type_urls}


EDGE, SIDECAR = EdgeGroup("edge"), SidecarGroup("mesh")


def expected(mode: RouteMode, group: NodeGroup, **hosts: tuple[str, ...]) -> Names:
    """What there has to be of services with these names for the group."""
    routes = "edge" if group is EDGE else "outbound"
    lazy = f"{routes}-on-demand"
    own = {f"{routes}/{name}" for name in hosts}
    domains = {f"{routes}/{host}" for each in hosts.values() for host in each}
    first = {f"{lazy}/{each[0]}" for each in hosts.values()}
    match mode:
        case RouteMode.SHARED:
            return {ROUTE: {routes}, SCOPED_ROUTE: set(), VIRTUAL_HOST: set()}
        case RouteMode.SCOPED:
            return {ROUTE: own, SCOPED_ROUTE: domains, VIRTUAL_HOST: set()}
        case RouteMode.LAZY:
            nobody = f"{lazy}/nobody.invalid"
            return {ROUTE: {lazy}, SCOPED_ROUTE: set(), VIRTUAL_HOST: first | {nobody}}


@pytest.mark.parametrize("there_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("mode", RouteMode)
def test_routes_come_change_and_go_with_their_service(mode: RouteMode, there_before: bool) -> None:
    world = World(mode)

    def has(**hosts: tuple[str, ...]) -> bool:
        view = (early if there_before else world).view_of(EDGE)
        return names(view, ROUTE, SCOPED_ROUTE, VIRTUAL_HOST) == expected(mode, EDGE, **hosts)

    early = world
    if there_before:
        world.view_of(EDGE)
    world.apply(a=("a.example.com", "www.example.com"), b="b.example.com")
    assert has(a=("a.example.com", "www.example.com"), b=("b.example.com",))
    for scope in world.view_of(EDGE).resources(SCOPED_ROUTE).values():
        assert scope.origins, "a client that rejects it rejects a document"
    world.apply(a=("c.example.com",))
    assert has(a=("c.example.com",), b=("b.example.com",))
    world.apply(a=None)
    assert has(b=("b.example.com",))
    assert set(world.view_of(EDGE).resources(CLUSTER)) == {"b"}


@pytest.mark.parametrize("mode", RouteMode)
def test_sidecars_know_services_by_their_names(mode: RouteMode) -> None:
    world = World(mode)
    world.apply(a="a.example.com", B="b.example.com")
    found = names(world.view_of(SIDECAR), ROUTE, SCOPED_ROUTE, VIRTUAL_HOST)
    lower = {"a": ("a",), "B": ("b",)} if mode is RouteMode.LAZY else {"a": ("a",), "B": ("B",)}
    assert found == expected(mode, SIDECAR, **lower)


def test_a_proxy_that_fetches_hosts_finds_each_by_every_name_in_lower_case() -> None:
    world = World(RouteMode.LAZY)
    world.apply(a=("A.example.com", "www.example.com"))
    view = world.view_of(EDGE)
    found = view.get(Ref(VIRTUAL_HOST, "edge-on-demand/a.example.com"))
    assert found
    assert found.on_demand
    assert found.aliases == ("edge-on-demand/a.example.com", "edge-on-demand/www.example.com")
    assert found.requires == {Ref(CLUSTER, "a")}
    assert [origin.document.name for origin in found.origins] == ["a.yaml"]  # type: ignore[attr-defined]
    for type_url in (CLUSTER, ENDPOINT):
        assert set(view.resources(type_url)) == {"a"}
    cluster = view.get(Ref(CLUSTER, "a"))
    assert cluster
    assert cluster.on_demand, "it is fetched, too"


@pytest.mark.parametrize("group", [EDGE, SidecarGroup("mesh", port=8080), GrpcClientGroup("clients")])
@pytest.mark.parametrize("mode", RouteMode)
def test_what_is_sent_is_called_in_its_body_as_the_protocol_calls_it(
    mode: RouteMode, group: NodeGroup
) -> None:
    world = World(mode)
    world.certificates = [Certificate("c", ("a.example.com",), b"chain", b"key")]
    world.apply(a=("a.example.com", "www.example.com"), b="b.example.com")
    view = world.view_of(group)
    assert LISTENER in view.types
    for type_url in view.types:
        body_class = message_class(type_url.rpartition("/")[2])
        for name, resource in view.resources(type_url).items():
            body: Any = body_class.FromString(resource.body)
            assert (body.cluster_name if type_url == ENDPOINT else body.name) == name


class TestGrpcClients:
    """They are sent what is theirs of the services that they call, and nothing of proxies."""

    ALL = GrpcClientGroup("clients")
    ONE = GrpcClientGroup("clients", upstreams=frozenset({"b"}))

    @pytest.mark.parametrize("there_before", [True, False], ids=["before", "after"])
    @pytest.mark.parametrize(("group", "seen"), [(ALL, {"a", "b"}), (ONE, {"b"})], ids=["all", "one"])
    def test_services_come_and_go(self, group: GrpcClientGroup, seen: set[str], there_before: bool) -> None:
        world = World()
        if there_before:
            world.view_of(group)
        world.apply(a="a.example.com", b="b.example.com")
        view = world.view_of(group)
        assert set(view.resources(LISTENER)) == seen
        assert len(view.resources(CLUSTER)) == len(view.resources(ENDPOINT)) == len(seen)
        for name in ("a", "b"):
            assert world.services.shows(group, ServiceId("", name)) is (name in seen)
        assert not world.services.shows(group, ServiceId("", "c"))
        world.apply(b=None)
        assert set(view.resources(LISTENER)) == seen - {"b"}
        assert len(view.resources(CLUSTER)) == len(seen - {"b"})

    def test_what_changed_is_told_by_service(self) -> None:
        world = World()
        view = world.view_of(self.ONE)
        world.apply(a="a.example.com", b="b.example.com")
        assert world.told == [(self.ONE, view.generation, {"b"}, True)]


class TestCohorts:
    """In groups with stages, cohorts may be served other versions than the first."""

    def test_each_is_served_its_own(self) -> None:
        world = World()
        later = EdgeGroup("edge", cohort=1)
        world.apply(0, a="new.example.com", b="b.example.com")
        world.apply(1, a="old.example.com", b="b.example.com")
        versions = [world.view_of(group).version(ROUTE) for group in (EDGE, later)]
        assert versions[0] != versions[1]
        before = {name: world.services.is_before(later, ServiceId("", name)) for name in ("a", "b", "c")}
        assert before == {"a": True, "b": False, "c": False}
        assert not world.services.is_before(EDGE, ServiceId("", "a"))
        world.apply(1, a="new.example.com")
        assert not world.services.is_before(later, ServiceId("", "a"))
        assert world.view_of(later).version(ROUTE) == versions[0]
        world.apply(0, a=None)
        assert world.services.is_before(later, ServiceId("", "a"))
        assert world.services.groups_of(ServiceId("", "a")) == [later]


class TestSettings:
    """Listeners change with what settings and certificates say."""

    def test_new_listeners_are_sent_and_told_of_once(self) -> None:
        world = World()
        world.apply(a="a.example.com")
        views = {group: world.view_of(group) for group in (EDGE, SIDECAR, TestGrpcClients.ALL)}
        before = {group: view.version(LISTENER) for group, view in views.items()}
        world.services.renew_listeners()
        assert world.told == []
        world.certificates = [Certificate("c", ("a.example.com",), b"chain", b"key")]
        world.services.renew_listeners()
        assert {group for group, view in views.items() if view.version(LISTENER) != before[group]} == {EDGE}
        assert world.told == [(EDGE, views[EDGE].generation, set(), True)]

    def test_views_that_nobody_watches_are_forgotten(self) -> None:
        world = World()
        world.apply(a="a.example.com")
        watched, other = world.view_of(EDGE), EdgeGroup("other")
        world.view_of(other)
        watched.watch(_Watcher())
        world.services.leave_unwatched()
        assert world.services.view(EDGE) is watched
        assert world.services.view(other) is None
        assert world.services.groups_of(ServiceId("", "a")) == [EDGE]


class _Watcher:
    def changed(self, changes: object) -> None:
        """Take a change."""
