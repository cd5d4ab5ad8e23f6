"""One service, compiled: everything of it that any node may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from xds.cache import Ref, Resource
from xds.compiler.grpc_client import compile_for_grpc_clients
from xds.compiler.grpc_matches import UnsupportedError
from xds.compiler.names import service_of
from xds.compiler.service import compile_routes
from xds.compiler.upstreams import compile_upstreams, speaks_grpc
from xds.documents.identity import Origin
from xds.routing import Routing
from xds.rules.instance import Instance, ServiceId
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE


@dataclass(frozen=True, slots=True)
class CompiledService:
    """A service's clusters, their endpoints, and its virtual hosts, encoded.

    ``mesh`` is its virtual host on sidecars without domains, ``mesh_names`` what these are unless another
    service has the name (``mesh_names``); ``edge`` the one with its ``hosts`` on its ``gateways`` (None:
    it has no hosts). ``requires`` are the clusters that either names, ``required_services`` the other
    services that these belong to. ``origins`` are the versions of the documents
    that it was compiled from; none if it has no rule document. ``grpc_clients`` is all that gRPC clients are
    sent of it; None: there are none, or they cannot do what its rules say (``xds.rules.grpc_limits``).
    ``grpc_web``: browsers may call it by gRPC-Web, since it speaks gRPC.
    """

    id: ServiceId
    origins: tuple[Origin, ...]
    has_rule: bool
    mesh: bytes
    mesh_names: tuple[str, ...]
    edge: bytes | None
    hosts: tuple[str, ...]
    gateways: frozenset[str]
    requires: frozenset[Ref]
    required_services: frozenset[str]
    clusters: tuple[Resource, ...]
    endpoints: tuple[Resource, ...]
    grpc_clients: tuple[Resource, ...] | None = None
    grpc_web: bool = False

    @classmethod
    def of(
        cls,
        service: ServiceId,
        routing: Routing,
        origins: tuple[Origin, ...],
        instances: Sequence[Instance],
        *,
        grpc_clients: bool = True,
    ) -> Self:
        """Compile a service from its routing and its instances; ``grpc_clients``: for those, too."""
        grpc_web = speaks_grpc(routing, instances)
        routes = compile_routes(routing, grpc_web=grpc_web)
        clusters, endpoints = _upstreams(routing, origins, instances)
        return cls(
            id=service,
            origins=origins,
            has_rule=routing.has_rule,
            mesh=routes.mesh,
            mesh_names=(service.name, *routing.aliases),
            edge=routes.edge,
            hosts=routing.hosts,
            gateways=routes.gateways,
            requires=frozenset(Ref(CLUSTER, cluster) for cluster in routes.requires),
            required_services=frozenset(map(service_of, routes.requires)) - {service.name},
            clusters=clusters,
            endpoints=endpoints,
            grpc_clients=_for_grpc_clients(routing, origins, instances) if grpc_clients else None,
            grpc_web=grpc_web,
        )

    def with_instances(self, routing: Routing, instances: Sequence[Instance]) -> Self:
        """Return the same service with other instances; of routes only gRPC-Web depends on those."""
        if speaks_grpc(routing, instances) != self.grpc_web:
            return self.of(
                self.id, routing, self.origins, instances, grpc_clients=self.grpc_clients is not None
            ).keeping_for_grpc_clients(self)
        clusters, endpoints = _upstreams(routing, self.origins, instances)
        after = replace(self, clusters=clusters, endpoints=endpoints)
        if self.grpc_clients is not None:
            after = replace(after, grpc_clients=_for_grpc_clients(routing, self.origins, instances))
        return after.keeping_for_grpc_clients(self)

    def keeping_for_grpc_clients(self, before: Self) -> Self:
        """Return the same service, with what gRPC clients had ``before`` if they cannot do what it says."""
        return self if self.grpc_clients is not None else replace(self, grpc_clients=before.grpc_clients)


def _upstreams(
    routing: Routing, origins: tuple[Origin, ...], instances: Sequence[Instance]
) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    """Return the clusters and their endpoints."""
    upstreams = compile_upstreams(routing, instances)
    clusters = tuple(
        Resource.of(
            CLUSTER,
            name,
            upstream.cluster,
            warms=Ref(ENDPOINT, name) if upstream.endpoints is not None else None,
            origins=origins,
        )
        for name, upstream in upstreams.items()
    )
    endpoints = tuple(
        Resource.of(ENDPOINT, name, upstream.endpoints, origins=origins)
        for name, upstream in upstreams.items()
        if upstream.endpoints is not None
    )
    return clusters, endpoints


def _for_grpc_clients(
    routing: Routing, origins: tuple[Origin, ...], instances: Sequence[Instance]
) -> tuple[Resource, ...] | None:
    """Return all that gRPC clients are sent, None if they cannot do what is decided."""
    try:
        compiled = compile_for_grpc_clients(routing, instances)
    except UnsupportedError:
        return None
    name = routing.service
    return (
        *(
            Resource.of(CLUSTER, cluster, body, warms=Ref(ENDPOINT, cluster), origins=origins)
            for cluster, body in compiled.clusters.items()
        ),
        *(
            Resource.of(ENDPOINT, cluster, body, origins=origins)
            for cluster, body in compiled.endpoints.items()
        ),
        Resource.of(LISTENER, name, compiled.listener, origins=origins),
        Resource.of(
            ROUTE,
            name,
            compiled.routes,
            requires=frozenset(Ref(CLUSTER, cluster) for cluster in compiled.clusters),
            origins=origins,
        ),
    )
