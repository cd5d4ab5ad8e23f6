"""What one audience sees: which services, in which listeners and routes."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Set
from typing import Protocol

from xds.cache import Ref, Resource, View
from xds.compiler.clusters import inbound_cluster
from xds.compiler.listeners import edge_listener, inbound_listener, outbound_listener
from xds.compiler.names import INBOUND
from xds.compiler.route_sources import RouteDelivery, route_source
from xds.pipeline.audience import Edge, Sidecar
from xds.pipeline.compiled import CompiledService
from xds.pipeline.delivery import Delivery, Host, delivery_of
from xds.pipeline.demand import Demand
from xds.pipeline.proxies import Proxies
from xds.protocol.variants import Request
from xds.type_urls import CLUSTER, LISTENER

Move = tuple[CompiledService | None, CompiledService | None]
"""A service before and after a change; None where it is not there."""


class Cast(Protocol):
    """The part of an audience's sight that differs by role."""

    routes_name: str
    routes: RouteDelivery

    def fixtures(self) -> Iterable[Resource]:
        """Yield the listeners, and what they need whatever services there are."""
        ...

    def host(self, service: CompiledService) -> Host | None:
        """Return what is seen of a service, None if nothing is."""
        ...


class EdgeCast:
    """An edge proxy sees the services that name its group as a gateway, by their hosts."""

    routes_name = "edge"

    def __init__(self, audience: Edge, proxies: Proxies) -> None:
        self._group = audience.group
        self._at = proxies.edge(audience.group)
        self.routes = self._at.routes

    def fixtures(self) -> Iterable[Resource]:
        """Yield the one listener."""
        source = route_source(self.routes, self.routes_name)
        body = edge_listener("edge", self._at, source)
        yield Resource.of(LISTENER, "edge", body)

    def host(self, service: CompiledService) -> Host | None:
        """Return the virtual host with the service's public hosts."""
        if service.edge is None or self._group not in service.gateways:
            return None
        return _host(service, service.edge, service.hosts)


class SidecarCast:
    """A sidecar sees its upstreams by their names, and its own application."""

    routes_name = "outbound"

    def __init__(self, audience: Sidecar, proxies: Proxies) -> None:
        self._upstreams = audience.upstreams
        self._port = audience.port
        self._at = proxies.sidecar(audience.group)
        self.routes = self._at.routes

    def fixtures(self) -> Iterable[Resource]:
        """Yield the listener for calls out and, if the application takes calls, the one for those."""
        source = route_source(self.routes, self.routes_name)
        body = outbound_listener("outbound", self._at, source)
        yield Resource.of(LISTENER, "outbound", body)
        if self._port is not None:
            yield Resource.of(CLUSTER, INBOUND, inbound_cluster(self._port))
            body = inbound_listener("inbound", self._at)
            yield Resource.of(LISTENER, "inbound", body, requires=frozenset({Ref(CLUSTER, INBOUND)}))

    def host(self, service: CompiledService) -> Host | None:
        """Return the virtual host with the service's name, by which it is called in the mesh."""
        if self._upstreams is not None and service.name not in self._upstreams:
            return None
        return _host(service, service.mesh, (service.name,))


def _host(service: CompiledService, body: bytes, domains: tuple[str, ...]) -> Host:
    return Host(body, domains, service.requires, service.origin, service.clusters, service.endpoints)


class Stage:
    """Keeps the view of one audience in step with the services."""

    def __init__(self, cast: Cast, view: View, services: Mapping[str, CompiledService]) -> None:
        self._cast = cast
        self._view = view
        self._services = services
        self._demand = Demand(cast.routes_name, cast.routes)
        self._deliveries: dict[RouteDelivery, Delivery] = {}
        view.apply(cast.fixtures())
        self._deliver(self._demand.kinds)

    def apply(self, moves: Mapping[str, Move]) -> None:
        """Bring the view up to date with services that changed."""
        hosts: dict[str, Host | None] = {}
        origins: set[str] = set()
        drop: set[Ref] = set()
        for name, (before, after) in moves.items():
            was = self._cast.host(before) if before else None
            now = self._cast.host(after) if after else None
            if was or now:
                hosts[name] = now
                origins.update(host.origin for host in (was, now) if host)
            if was:
                drop |= self._own(name, was).keys()
        put = list(self._owned(hosts))
        for delivery in self._deliveries.values():
            put += delivery.common(hosts, origins)
        drop.difference_update(resource.ref for resource in put)
        self._view.apply(put, drop)

    def asked(self, client: Hashable, request: Request) -> None:
        """Note what kind of routes a client asks for, and have them ready."""
        self._demand.note(client, request)
        self._deliver(self._demand.kinds)

    def left(self, client: Hashable) -> None:
        """Note that a client is gone."""
        self._demand.leave(client)
        self._deliver(self._demand.kinds)

    def _deliver(self, kinds: Set[RouteDelivery]) -> None:
        """Have these kinds of routes in the view, and no others."""
        if kinds == self._deliveries.keys():
            return
        hosts = {name: self._cast.host(service) for name, service in self._services.items()}
        before = {resource.ref for resource in self._everything(hosts)} if self._deliveries else set()
        # Lazy first: a cluster that another kind has for everybody is not on demand.
        order = sorted(kinds, key=lambda kind: (kind is not RouteDelivery.LAZY, kind))
        name = self._cast.routes_name
        self._deliveries = {kind: self._deliveries.get(kind) or delivery_of(kind, name) for kind in order}
        put = {resource.ref: resource for resource in self._everything(hosts)}
        self._view.apply(put.values(), before - put.keys())

    def _everything(self, hosts: Mapping[str, Host | None]) -> Iterator[Resource]:
        """Yield all resources; of one that several deliveries have, the last counts."""
        for delivery in self._deliveries.values():
            yield from delivery.opening()
            for name, host in hosts.items():
                if host:
                    yield from delivery.own(name, host)
        origins = {host.origin for host in hosts.values() if host}
        for delivery in self._deliveries.values():
            yield from delivery.common(hosts, origins)

    def _owned(self, hosts: Mapping[str, Host | None]) -> Iterator[Resource]:
        for name, host in hosts.items():
            if host:
                yield from self._own(name, host).values()

    def _own(self, service: str, host: Host) -> dict[Ref, Resource]:
        return {
            resource.ref: resource
            for delivery in self._deliveries.values()
            for resource in delivery.own(service, host)
        }
