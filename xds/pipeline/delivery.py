"""How the virtual hosts of services become resources: shared, scoped or lazy (``route_sources``)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from xds.cache import Ref, Resource
from xds.compiler.route_configuration import (
    nobody,
    on_demand_name,
    on_demand_route_configuration,
    renamed,
    route_configuration,
)
from xds.compiler.route_sources import RouteDelivery, routes_name
from xds.compiler.scopes import scope
from xds.pipeline.route_table import RouteTable
from xds.type_urls import ROUTE, SCOPED_ROUTE, VIRTUAL_HOST


@dataclass(frozen=True, slots=True)
class Host:
    """What one audience sees of one service: its virtual host, the hosts in it, and what that requires."""

    body: bytes
    domains: tuple[str, ...]
    requires: frozenset[Ref]
    origin: str
    clusters: tuple[Resource, ...]
    endpoints: tuple[Resource, ...]


class Delivery(Protocol):
    """Turns what an audience sees into resources; keeps what it must to do so for changes alone."""

    def opening(self) -> Iterable[Resource]:
        """Yield the resources that are there whatever services there are."""
        ...

    def own(self, service: str, host: Host) -> Iterable[Resource]:
        """Yield the resources of one service."""
        ...

    def common(self, hosts: Mapping[str, Host | None], origins: Iterable[str]) -> Iterable[Resource]:
        """Yield the resources of all services together, after these changed (None: is not seen any more)."""
        ...


def delivery_of(kind: RouteDelivery, name: str) -> Delivery:
    """Return the delivery of a kind; ``name`` is what the routes are for, as in ``route_sources``."""
    name = routes_name(kind, name)
    match kind:
        case RouteDelivery.SHARED:
            return Shared(name)
        case RouteDelivery.SCOPED:
            return Scoped(name)
        case RouteDelivery.LAZY:
            return Lazy(name)


class Shared:
    """One RouteConfiguration with a virtual host per service."""

    def __init__(self, name: str) -> None:
        self._table = RouteTable(name)

    def opening(self) -> Iterable[Resource]:
        """Yield the RouteConfiguration as it is; at first it has no virtual host."""
        yield self._table.resource(())

    def own(self, service: str, host: Host) -> Iterable[Resource]:
        """Yield clusters and endpoints."""
        yield from host.clusters
        yield from host.endpoints

    def common(self, hosts: Mapping[str, Host | None], origins: Iterable[str]) -> Iterable[Resource]:
        """Yield the RouteConfiguration, if a virtual host in it changed."""
        changed = [
            self._table.set(service, host.body, host.requires) if host else self._table.set(service, None)
            for service, host in hosts.items()
        ]
        if any(changed):
            yield self._table.resource(origins)


class Scoped:
    """One RouteConfiguration per service, and one scope per host."""

    def __init__(self, name: str) -> None:
        self._name = name

    def opening(self) -> Iterable[Resource]:
        """Yield nothing: no scope, no routes."""
        return ()

    def own(self, service: str, host: Host) -> Iterable[Resource]:
        """Yield clusters, endpoints, the RouteConfiguration and the scopes."""
        yield from host.clusters
        yield from host.endpoints
        name = f"{self._name}/{service}"
        body = route_configuration(name, [host.body])
        yield Resource.of(ROUTE, name, body, requires=host.requires, origins=(host.origin,))
        for domain in host.domains:
            scope_name = f"{self._name}/{domain}"
            yield Resource.of(
                SCOPED_ROUTE, scope_name, scope(scope_name, domain, name), origins=(host.origin,)
            )

    def common(self, hosts: Mapping[str, Host | None], origins: Iterable[str]) -> Iterable[Resource]:
        """Yield nothing: every resource is one service's own."""
        return ()


class Lazy:
    """Virtual hosts and clusters that only those get who ask for them by name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def opening(self) -> Iterable[Resource]:
        """Yield the RouteConfiguration that says where virtual hosts come from, and one that nobody needs."""
        yield Resource.of(ROUTE, self._name, on_demand_route_configuration(self._name))
        name = on_demand_name(self._name, "nobody.invalid")
        yield Resource.of(VIRTUAL_HOST, name, nobody(name))

    def own(self, service: str, host: Host) -> Iterable[Resource]:
        """Yield clusters, endpoints and the virtual host, on demand."""
        for cluster in host.clusters:
            yield replace(cluster, on_demand=True)
        yield from host.endpoints
        [domain] = host.domains
        name = on_demand_name(self._name, domain)
        yield Resource.of(
            VIRTUAL_HOST,
            name,
            renamed(host.body, name),
            requires=host.requires,
            origins=(host.origin,),
            aliases=(name,),
            on_demand=True,
        )

    def common(self, hosts: Mapping[str, Host | None], origins: Iterable[str]) -> Iterable[Resource]:
        """Yield nothing: every resource is one service's own."""
        return ()
