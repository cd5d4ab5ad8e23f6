"""Route modes: how the virtual hosts of services become resources.

``RouteMode`` (``xds.compiler.route_sources``) names the three modes. Each class here makes the resources of
one mode for one view.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from xds.cache import Ref, Resource
from xds.compiler.route_configuration import (
    joined_route_configuration,
    nobody,
    on_demand_name,
    on_demand_route_configuration,
    renamed,
    route_configuration,
    virtual_host_field,
)
from xds.compiler.route_sources import RouteMode, routes_name
from xds.compiler.scopes import scope
from xds.documents.identity import Origin
from xds.type_urls import ROUTE, SCOPED_ROUTE, VIRTUAL_HOST

_AT_ONCE = 1_000
"""Virtual hosts that are joined at a stretch: about a millisecond."""


@dataclass(frozen=True, slots=True)
class VisibleService:
    """What one node group sees of one service.

    ``body`` is its encoded virtual host, ``domains`` the hosts in it, ``requires`` the clusters that it names
    and ``required_services`` the other services that those belong to. ``origins`` are the versions of the
    documents that it was compiled from.
    """

    body: bytes
    domains: tuple[str, ...]
    requires: frozenset[Ref]
    required_services: frozenset[str]
    origins: tuple[Origin, ...]


class RouteResources(Protocol):
    """Makes the resources of a view in one route mode. It keeps what it needs to do so for changes alone."""

    clusters_on_demand: bool
    """Whether a proxy fetches clusters by name, when it first needs them."""

    def fixed(self) -> Iterable[Resource]:
        """Yield the resources that do not depend on any service."""
        ...

    def of_service(self, name: str, service: VisibleService) -> Iterable[Resource]:
        """Yield the routes of one service that are resources of their own."""
        ...

    def refs_of(self, name: str, service: VisibleService) -> Iterable[Ref]:
        """Yield what the resources of ``of_service`` are called."""
        ...

    def set(self, name: str, service: VisibleService | None) -> None:
        """Take a service as it is now (None: no longer visible), for ``of_all``."""
        ...

    def of_all(self) -> Iterable[Resource | None]:
        """Yield the resources that hold several services, if they changed since this was last asked for.

        None is a pause: the caller may let others run, but no service may be set before the end.
        """
        ...


def route_resources(mode: RouteMode, name: str) -> RouteResources:
    """Return the resources of a mode; ``name`` is what the routes are for, as in ``route_sources``."""
    name = routes_name(mode, name)
    match mode:
        case RouteMode.SHARED:
            return SharedRoutes(name)
        case RouteMode.SCOPED:
            return ScopedRoutes(name)
        case RouteMode.LAZY:
            return LazyRoutes(name)


class SharedRoutes:
    """One RouteConfiguration with a virtual host per service, in the order of their names.

    A change costs the size of the whole RouteConfiguration, here and on the wire. A group with very many
    services is better served by scoped routes.
    """

    clusters_on_demand = False

    def __init__(self, name: str) -> None:
        self._name = name
        # The visible services, by name and in the order of their names. Written by ``set``, as is the next.
        self._order: list[str] = []
        self._services: dict[str, VisibleService] = {}
        # By service: its virtual host as it stands in the RouteConfiguration.
        self._fields: dict[str, bytes] = {}
        # How many services require a cluster, and these clusters as a set, None after another one came or
        # went. Written by ``set``, the set by ``_resource``.
        self._requirers: Counter[Ref] = Counter()
        self._requires: frozenset[Ref] | None = None
        # Whether a virtual host or its origin changed. Written by ``set`` and ``of_all``.
        self._changed = False

    def fixed(self) -> Iterable[Resource]:
        """Yield the RouteConfiguration as it is now; at first it has no virtual host."""
        return filter(None, self._resource())

    def of_service(self, name: str, service: VisibleService) -> Iterable[Resource]:
        """Yield nothing."""
        return ()

    def refs_of(self, name: str, service: VisibleService) -> Iterable[Ref]:
        """Yield nothing."""
        return ()

    def of_all(self) -> Iterable[Resource | None]:
        """Yield the RouteConfiguration, if a virtual host in it or its origin changed, with pauses."""
        if self._changed:
            yield from self._resource()
            self._changed = False

    def set(self, name: str, service: VisibleService | None) -> None:
        """Take, put in the place of another, or take out a virtual host."""
        before = self._services.pop(name, None)
        self._fields.pop(name, None)
        if service:
            self._services[name] = service
            self._fields[name] = virtual_host_field(service.body)
        if (before and before.requires) != (service and service.requires):
            self._require(before.requires if before else (), -1)
            self._require(service.requires if service else (), 1)
        if before and not service:
            del self._order[bisect_left(self._order, name)]
        elif service and not before:
            insort(self._order, name)
        self._changed |= _routes_of(before) != _routes_of(service)

    def _require(self, refs: Iterable[Ref], count: int) -> None:
        for ref in refs:
            self._requirers[ref] += count
            if not self._requirers[ref]:
                del self._requirers[ref]
        self._requires = None

    def _resource(self) -> Iterator[Resource | None]:
        """Put the RouteConfiguration together, with pauses; yield it last, after a pause of its own."""
        fields: list[bytes] = []
        origins: dict[Origin, None] = {}
        for begin in range(0, len(self._order), _AT_ONCE):
            names = self._order[begin : begin + _AT_ONCE]
            fields.append(b"".join([self._fields[name] for name in names]))
            for name in names:
                origins.update(dict.fromkeys(self._services[name].origins))
            yield None
        if self._requires is None:
            self._requires = frozenset(self._requirers)
            yield None
        resource = Resource.of(
            ROUTE,
            self._name,
            joined_route_configuration(self._name, fields),
            requires=self._requires,
            origins=tuple(origins),
        )
        yield None
        yield resource


def _routes_of(service: VisibleService | None) -> tuple[bytes, tuple[Origin, ...]] | None:
    return (service.body, service.origins) if service else None


class ScopedRoutes:
    """One RouteConfiguration per service, and one scope per host."""

    clusters_on_demand = False

    def __init__(self, name: str) -> None:
        self._name = name

    def fixed(self) -> Iterable[Resource]:
        """Yield nothing: without scopes there are no routes."""
        return ()

    def of_service(self, name: str, service: VisibleService) -> Iterable[Resource]:
        """Yield the RouteConfiguration and the scopes."""
        routes = f"{self._name}/{name}"
        body = route_configuration(routes, [service.body])
        yield Resource.of(ROUTE, routes, body, requires=service.requires, origins=service.origins)
        for domain in service.domains:
            scope_name = f"{self._name}/{domain}"
            body = scope(scope_name, domain.lower(), routes)
            yield Resource.of(SCOPED_ROUTE, scope_name, body, origins=service.origins)

    def refs_of(self, name: str, service: VisibleService) -> Iterable[Ref]:
        """Yield what the RouteConfiguration and the scopes are called."""
        yield Ref(ROUTE, f"{self._name}/{name}")
        for domain in service.domains:
            yield Ref(SCOPED_ROUTE, f"{self._name}/{domain}")

    def set(self, name: str, service: VisibleService | None) -> None:
        """Do nothing: no resource has several services."""

    def of_all(self) -> Iterable[Resource | None]:
        """Yield nothing."""
        return ()


class LazyRoutes:
    """Virtual hosts and clusters that a proxy gets when it asks for them by name."""

    clusters_on_demand = True

    def __init__(self, name: str) -> None:
        self._name = name

    def fixed(self) -> Iterable[Resource]:
        """Yield the RouteConfiguration whose virtual hosts are fetched, and one virtual host for nobody."""
        yield Resource.of(ROUTE, self._name, on_demand_route_configuration(self._name))
        name = on_demand_name(self._name, "nobody.invalid")
        yield Resource.of(VIRTUAL_HOST, name, nobody(name))

    def of_service(self, name: str, service: VisibleService) -> Iterable[Resource]:
        """Yield the virtual host, on demand; Envoy asks for a host in lower case, however it was sent."""
        names = tuple(on_demand_name(self._name, domain.lower()) for domain in service.domains)
        on_demand = names[0]
        yield Resource.of(
            VIRTUAL_HOST,
            on_demand,
            renamed(service.body, on_demand),
            requires=service.requires,
            origins=service.origins,
            aliases=names,
            on_demand=True,
        )

    def refs_of(self, name: str, service: VisibleService) -> Iterable[Ref]:
        """Yield what the virtual host is called."""
        yield Ref(VIRTUAL_HOST, on_demand_name(self._name, service.domains[0].lower()))

    def set(self, name: str, service: VisibleService | None) -> None:
        """Do nothing: no resource has several services."""

    def of_all(self) -> Iterable[Resource | None]:
        """Yield nothing."""
        return ()


def cluster_resources(
    clusters: Iterable[Resource], endpoints: Iterable[Resource], *, on_demand: bool
) -> Iterable[Resource]:
    """Yield clusters, on demand if the route mode fetches them by name, and their endpoints."""
    yield from (replace(cluster, on_demand=True) for cluster in clusters) if on_demand else clusters
    yield from endpoints
