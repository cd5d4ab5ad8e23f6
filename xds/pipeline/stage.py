"""What one audience sees: which services, in which listeners and routes."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from xds.cache import Ref, Resource, View
from xds.compiler.clusters import inbound_cluster
from xds.compiler.listeners import edge_listener, inbound_listener, outbound_listener
from xds.compiler.names import INBOUND
from xds.pipeline.audience import Edge, Sidecar
from xds.pipeline.compiled import CompiledService
from xds.pipeline.proxies import Proxies
from xds.pipeline.route_table import RouteTable
from xds.type_urls import CLUSTER, LISTENER

Move = tuple[CompiledService | None, CompiledService | None]
"""A service before and after a change; None where it is not there."""


class Cast(Protocol):
    """The part of an audience's sight that differs by role."""

    route_name: str

    def fixtures(self) -> Iterable[Resource]:
        """Yield what is there whatever services there are."""
        ...

    def host(self, service: CompiledService) -> bytes | None:
        """Return the virtual host of a service, None if this audience does not see the service."""
        ...


class EdgeCast:
    """An edge proxy sees the services that name its group as a gateway, by their hosts."""

    route_name = "edge"

    def __init__(self, audience: Edge, proxies: Proxies) -> None:
        self._group = audience.group
        self._listener = proxies.edge(audience.group)

    def fixtures(self) -> Iterable[Resource]:
        """Yield the one listener."""
        listener = self._listener
        body = edge_listener("edge", listener.address, listener.port, self.route_name, listener.access_log)
        yield Resource.of(LISTENER, "edge", body)

    def host(self, service: CompiledService) -> bytes | None:
        """Return the virtual host with the service's public hosts."""
        return service.edge if self._group in service.gateways else None


class SidecarCast:
    """A sidecar sees its upstreams by their names, and its own application."""

    route_name = "outbound"

    def __init__(self, audience: Sidecar, proxies: Proxies) -> None:
        self._audience = audience
        self._listeners = proxies.sidecar(audience.group)

    def fixtures(self) -> Iterable[Resource]:
        """Yield the listener for calls out and, if the application takes calls, the one for those."""
        at = self._listeners
        body = outbound_listener("outbound", at.address, at.outbound_port, self.route_name, at.access_log)
        yield Resource.of(LISTENER, "outbound", body)
        if self._audience.port is not None:
            yield Resource.of(CLUSTER, INBOUND, inbound_cluster(self._audience.port))
            body = inbound_listener("inbound", at.address, at.inbound_port, at.access_log)
            yield Resource.of(LISTENER, "inbound", body, requires=frozenset({Ref(CLUSTER, INBOUND)}))

    def host(self, service: CompiledService) -> bytes | None:
        """Return the virtual host with the service's name, by which it is called in the mesh."""
        upstreams = self._audience.upstreams
        return service.mesh if upstreams is None or service.name in upstreams else None


class Stage:
    """Keeps the view of one audience in step with the services."""

    def __init__(self, cast: Cast, view: View, services: Mapping[str, CompiledService]) -> None:
        self._cast = cast
        self._view = view
        self._routes = RouteTable(cast.route_name)
        view.apply(cast.fixtures())
        self._play({name: (None, service) for name, service in services.items()}, opening=True)

    def apply(self, moves: Mapping[str, Move]) -> None:
        """Bring the view up to date with services that changed."""
        self._play(moves, opening=False)

    def _play(self, moves: Mapping[str, Move], *, opening: bool) -> None:
        put: list[Resource] = []
        drop: set[Ref] = set()
        origins: set[str] = set()
        for name, (before, after) in moves.items():
            host = self._cast.host(after) if after else None
            if before and self._cast.host(before) is not None:
                drop.update(resource.ref for resource in before.resources)
            if after and host is not None:
                put += after.resources
            if self._routes.set(name, host, after.requires if after and host is not None else frozenset()):
                origins.update(service.origin for service in (before, after) if service)
        if origins or opening:
            put.append(self._routes.resource(origins))
        drop.difference_update(resource.ref for resource in put)
        self._view.apply(put, drop)
