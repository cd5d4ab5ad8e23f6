"""One service, compiled: everything of it that any node may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from xds.cache import Ref, Resource
from xds.compiler.names import service_of
from xds.compiler.service import compile_routes
from xds.compiler.upstreams import compile_upstreams
from xds.documents.identity import Origin
from xds.routing import Routing
from xds.rules.instance import Instance, ServiceId
from xds.type_urls import CLUSTER, ENDPOINT


@dataclass(frozen=True, slots=True)
class CompiledService:
    """A service's clusters, their endpoints, and its virtual hosts, encoded.

    ``mesh`` is its virtual host on sidecars, ``edge`` the one with its ``hosts`` on its ``gateways`` (None:
    it has no hosts). ``requires`` are the clusters that either names, ``required_services`` the other
    services that these belong to. ``origins`` are the versions of the documents
    that it was compiled from; none if it has no rule document.
    """

    id: ServiceId
    origins: tuple[Origin, ...]
    has_rule: bool
    mesh: bytes
    edge: bytes | None
    hosts: tuple[str, ...]
    gateways: frozenset[str]
    requires: frozenset[Ref]
    required_services: frozenset[str]
    clusters: tuple[Resource, ...]
    endpoints: tuple[Resource, ...]

    @classmethod
    def of(
        cls,
        service: ServiceId,
        routing: Routing,
        origins: tuple[Origin, ...],
        instances: Sequence[Instance],
    ) -> Self:
        """Compile a service from what is decided for it and its instances."""
        routes = compile_routes(routing)
        clusters, endpoints = _upstreams(routing, origins, instances)
        return cls(
            id=service,
            origins=origins,
            has_rule=routing.has_rule,
            mesh=routes.mesh,
            edge=routes.edge,
            hosts=routing.hosts,
            gateways=routes.gateways,
            requires=frozenset(Ref(CLUSTER, cluster) for cluster in routes.requires),
            required_services=frozenset(map(service_of, routes.requires)) - {service.name},
            clusters=clusters,
            endpoints=endpoints,
        )

    def with_instances(self, routing: Routing, instances: Sequence[Instance]) -> Self:
        """Return the same service with other instances; no route depends on those."""
        clusters, endpoints = _upstreams(routing, self.origins, instances)
        return replace(self, clusters=clusters, endpoints=endpoints)


def _upstreams(
    routing: Routing, origins: tuple[Origin, ...], instances: Sequence[Instance]
) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    """Return the clusters and their endpoints."""
    upstreams = compile_upstreams(routing, instances)
    clusters = tuple(
        Resource.of(CLUSTER, name, upstream.cluster, warms=Ref(ENDPOINT, name), origins=origins)
        for name, upstream in upstreams.items()
    )
    endpoints = tuple(
        Resource.of(ENDPOINT, name, upstream.endpoints, origins=origins)
        for name, upstream in upstreams.items()
    )
    return clusters, endpoints
