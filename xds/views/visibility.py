"""What the nodes of a group see: their listeners, and which services by which hosts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from xds.cache import Ref, Resource
from xds.compiler.certificates import secret
from xds.compiler.clusters import inbound_cluster, tracing_cluster
from xds.compiler.connection_managers import HttpSettings
from xds.compiler.listeners import edge_listener, https_listener, inbound_listener, outbound_listener
from xds.compiler.names import INBOUND, TRACING
from xds.compiler.route_sources import RouteMode, route_source
from xds.compiler.service import with_domains
from xds.documents import Origin
from xds.routing.lanes import Entrances
from xds.type_urls import CLUSTER, LISTENER, SECRET
from xds.views.compiled_service import CompiledService
from xds.views.listener_settings import ListenerSettings
from xds.views.node_group import EdgeGroup, SidecarGroup
from xds.views.route_modes import VisibleService


class Visibility(Protocol):
    """The part of a view that differs by role."""

    routes_name: str
    """What the routes are for, as in ``xds.compiler.route_sources``."""

    mode: RouteMode
    """How the routes reach the group, as the operator set it."""

    def fixed(self) -> Iterable[Resource]:
        """Yield the listeners and what they need, whatever services there are."""
        ...

    def see(self, service: CompiledService) -> VisibleService | None:
        """Return what is visible of a service, None if nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Lanes:
    """Who enters which lane of a namespace, and the versions of the documents that say so."""

    entrances: Entrances = field(default_factory=Entrances)
    origins: tuple[Origin, ...] = ()


def visibility_of(
    group: EdgeGroup | SidecarGroup, settings: ListenerSettings, lanes: Callable[[], Lanes]
) -> Visibility:
    """Return what a group of proxies sees."""
    match group:
        case EdgeGroup():
            return EdgeVisibility(group, settings, lanes)
        case SidecarGroup():
            return SidecarVisibility(group, settings)


class EdgeVisibility:
    """An edge proxy sees the services that name its group as a gateway, by their public hosts."""

    routes_name = "edge"

    def __init__(self, group: EdgeGroup, settings: ListenerSettings, lanes: Callable[[], Lanes]) -> None:
        self._lanes = lanes
        self._group = group.name
        self._at = settings.edge(group.name)
        self._certificates = settings.certificates
        self.mode = self._at.routes

    def fixed(self) -> Iterable[Resource]:
        """Yield the listener and, with HTTPS and a certificate, the one for that with its secrets."""
        source = route_source(self.mode, self.routes_name)
        lanes = self._lanes()
        body = edge_listener("edge", self._at, source, lanes.entrances)
        yield from _tracing(self._at.http)
        requires = _needs(self._at.http)
        yield Resource.of(LISTENER, "edge", body, requires=requires, origins=lanes.origins)
        certificates = self._certificates(self._group)
        if self._at.https and certificates:
            for certificate in certificates:
                yield Resource.of(SECRET, certificate.name, secret(certificate))
            names = [certificate.name for certificate in certificates]
            body = https_listener("edge-https", self._at, source, names, lanes.entrances)
            yield Resource.of(LISTENER, "edge-https", body, requires=requires, origins=lanes.origins)

    def see(self, service: CompiledService) -> VisibleService | None:
        """Return the virtual host with the service's public hosts."""
        if service.edge is None or self._group not in service.gateways:
            return None
        return _visible(service, service.edge, service.hosts)


class SidecarVisibility:
    """A sidecar sees its upstreams by their names, and its own application."""

    routes_name = "outbound"

    def __init__(self, group: SidecarGroup, settings: ListenerSettings) -> None:
        self._upstreams = group.upstreams
        self._port = group.port
        self._at = settings.sidecar(group.name)
        self.mode = self._at.routes

    def fixed(self) -> Iterable[Resource]:
        """Yield the outbound listener and, if the application takes calls, the inbound one."""
        source = route_source(self.mode, self.routes_name)
        body = outbound_listener("outbound", self._at, source)
        yield from _tracing(self._at.http)
        requires = _needs(self._at.http)
        yield Resource.of(LISTENER, "outbound", body, requires=requires)
        if self._port is not None:
            yield Resource.of(CLUSTER, INBOUND, inbound_cluster(self._port))
            body = inbound_listener("inbound", self._at)
            requires |= {Ref(CLUSTER, INBOUND)}
            yield Resource.of(LISTENER, "inbound", body, requires=requires)

    def see(self, service: CompiledService) -> VisibleService | None:
        """Return the virtual host with the names by which the service is called in the mesh."""
        if self._upstreams is not None and service.id.name not in self._upstreams:
            return None
        body = with_domains(service.mesh, service.mesh_names)
        return _visible(service, body, service.mesh_names)


def _tracing(http: HttpSettings) -> Iterable[Resource]:
    if http.tracing:
        yield Resource.of(CLUSTER, TRACING, tracing_cluster(http.tracing.host, http.tracing.port))


def _needs(http: HttpSettings) -> frozenset[Ref]:
    return frozenset({Ref(CLUSTER, TRACING)}) if http.tracing else frozenset()


def _visible(service: CompiledService, body: bytes, domains: tuple[str, ...]) -> VisibleService:
    return VisibleService(body, domains, service.requires, service.required_services, service.origins)
