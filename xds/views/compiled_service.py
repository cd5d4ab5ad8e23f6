"""One service, compiled: everything of it that any node may see."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from xds.cache import Ref, Resource
from xds.compiler.grpc_client import (
    GrpcClientDestinations,
    compile_grpc_client_routes,
    compile_grpc_client_upstreams,
    split_clusters,
)
from xds.compiler.grpc_matches import UnsupportedError
from xds.compiler.names import service_of
from xds.compiler.service import compile_routes
from xds.compiler.upstreams import Destinations, compile_upstreams, speaks_grpc
from xds.documents.identity import Origin
from xds.routing import Routing
from xds.rules.instance import Instance, ServiceId
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE


@dataclass(frozen=True, slots=True)
class ServiceInputs:
    """All that a service is compiled from.

    ``origins`` are the versions of the documents that it is made from; none if it has no rule document.
    ``grpc_clients``: it is compiled for those, too.
    """

    service: ServiceId
    routing: Routing
    origins: tuple[Origin, ...]
    instances: Sequence[Instance]
    grpc_clients: bool = True


@dataclass(frozen=True, slots=True)
class CompiledService:
    """A service's clusters, their endpoints, and its virtual hosts, encoded.

    ``mesh`` is its virtual host on sidecars without domains, ``mesh_names`` what these are unless another
    service has the name (``mesh_names``); ``edge`` the one with its ``hosts`` on its ``gateways`` (None:
    it has no hosts). ``requires`` are the clusters that either names, ``required_services`` the other
    services that these belong to. ``origins`` are those of its inputs. ``grpc_web``: browsers may call it by
    gRPC-Web, since it speaks gRPC.

    ``grpc_clients`` is all that gRPC clients are sent of it; None: nothing. Where they cannot do what its
    rules say (``xds.rules.grpc_limits``), they keep the routes that they had before (``grpc_clients_kept``).
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
    grpc_web: bool = False
    grpc_clients: tuple[Resource, ...] | None = None
    grpc_clients_kept: bool = False

    @classmethod
    def of(cls, inputs: ServiceInputs, earlier: "Compiled | None" = None) -> Self:
        """Compile a service; each part of ``earlier`` that is made from the same inputs is taken from there.

        An edit of matches and weights compiles the routes alone, other instances the endpoints and clusters.
        """
        routing = inputs.routing
        upstreams = _upstreams(inputs, earlier)
        routes = _routes(inputs, earlier, grpc_web=upstreams.grpc_web)
        return cls(
            id=inputs.service,
            origins=inputs.origins,
            has_rule=routing.has_rule,
            mesh=routes.mesh,
            mesh_names=(inputs.service.name, *routing.aliases),
            edge=routes.edge,
            hosts=routing.hosts,
            gateways=routing.gateways,
            requires=routes.requires,
            required_services=routes.required_services,
            clusters=upstreams.clusters,
            endpoints=upstreams.endpoints,
            grpc_web=upstreams.grpc_web,
            grpc_clients=_for_grpc_clients(inputs, earlier) if inputs.grpc_clients else None,
        )

    def keeping_for_grpc_clients(self, before: Self, inputs: ServiceInputs) -> Self:
        """Return the same service, with what gRPC clients had ``before`` if they cannot do what it says.

        Where a cluster is of one subset, they are sent the instances that the subset has by ``inputs``, from
        which this service is compiled. A sticky split stays as it was: its shares would change with it.
        """
        if self.grpc_clients is not None or before.grpc_clients is None:
            return self
        splits = set(split_clusters(inputs.routing))
        now = {each.ref: each for each in _grpc_client_upstreams(inputs, None) if each.name not in splits}
        kept = tuple(now.get(each.ref, each) for each in before.grpc_clients)
        return replace(self, grpc_clients=kept, grpc_clients_kept=True)


class Compiled(NamedTuple):
    """A service and what it was compiled from."""

    inputs: ServiceInputs
    service: CompiledService


class _Routes(NamedTuple):
    """The part of a service that depends on its routing and on whether it speaks gRPC."""

    mesh: bytes
    edge: bytes | None
    requires: frozenset[Ref]
    required_services: frozenset[str]


class _Upstreams(NamedTuple):
    """The part of a service that depends on its instances and its destinations."""

    clusters: tuple[Resource, ...]
    endpoints: tuple[Resource, ...]
    grpc_web: bool


def _routes(inputs: ServiceInputs, earlier: Compiled | None, *, grpc_web: bool) -> _Routes:
    if earlier and (earlier.service.grpc_web, earlier.inputs.routing) == (grpc_web, inputs.routing):
        before = earlier.service
        return _Routes(before.mesh, before.edge, before.requires, before.required_services)
    routes = compile_routes(inputs.routing, grpc_web=grpc_web)
    return _Routes(
        routes.mesh,
        routes.edge,
        frozenset(Ref(CLUSTER, cluster) for cluster in routes.requires),
        frozenset(map(service_of, routes.requires)) - {inputs.service.name},
    )


def _upstreams(inputs: ServiceInputs, earlier: Compiled | None) -> _Upstreams:
    destinations, origins = Destinations.of(inputs.routing), inputs.origins
    if (
        earlier
        and earlier.inputs.instances == inputs.instances
        and Destinations.of(earlier.inputs.routing) == destinations
    ):
        before = earlier.service
        clusters, endpoints = _made_from(origins, before.clusters), _made_from(origins, before.endpoints)
        return _Upstreams(clusters, endpoints, before.grpc_web)
    upstreams = compile_upstreams(destinations, inputs.instances)
    return _Upstreams(
        tuple(
            Resource.of(
                CLUSTER,
                name,
                upstream.cluster,
                warms=Ref(ENDPOINT, name) if upstream.endpoints is not None else None,
                origins=origins,
            )
            for name, upstream in upstreams.items()
        ),
        tuple(
            Resource.of(ENDPOINT, name, upstream.endpoints, origins=origins)
            for name, upstream in upstreams.items()
            if upstream.endpoints is not None
        ),
        speaks_grpc(destinations, inputs.instances),
    )


def _for_grpc_clients(inputs: ServiceInputs, earlier: Compiled | None) -> tuple[Resource, ...] | None:
    """Return all that gRPC clients are sent, None if they cannot do what is decided."""
    if earlier and (earlier.service.grpc_clients is None or earlier.service.grpc_clients_kept):
        earlier = None
    try:
        routes = _grpc_client_routes(inputs, earlier)
    except UnsupportedError:
        return None
    return (*_grpc_client_upstreams(inputs, earlier), *routes)


def _grpc_client_routes(inputs: ServiceInputs, earlier: Compiled | None) -> tuple[Resource, ...]:
    name, origins = inputs.service.name, inputs.origins
    if earlier and earlier.inputs.routing == inputs.routing:
        return _made_from(origins, _of_types({LISTENER, ROUTE}, earlier.service.grpc_clients))
    compiled = compile_grpc_client_routes(inputs.routing)
    requires = frozenset(Ref(CLUSTER, cluster) for cluster in compiled.requires)
    return (
        Resource.of(LISTENER, name, compiled.listener, origins=origins),
        Resource.of(ROUTE, name, compiled.routes, requires=requires, origins=origins),
    )


def _grpc_client_upstreams(inputs: ServiceInputs, earlier: Compiled | None) -> tuple[Resource, ...]:
    destinations, origins = GrpcClientDestinations.of(inputs.routing), inputs.origins
    if (
        earlier
        and earlier.inputs.instances == inputs.instances
        and GrpcClientDestinations.of(earlier.inputs.routing) == destinations
    ):
        return _made_from(origins, _of_types({CLUSTER, ENDPOINT}, earlier.service.grpc_clients))
    upstreams = compile_grpc_client_upstreams(destinations, inputs.instances)
    return (
        *(
            Resource.of(CLUSTER, name, upstream.cluster, warms=Ref(ENDPOINT, name), origins=origins)
            for name, upstream in upstreams.items()
        ),
        *(
            Resource.of(ENDPOINT, name, upstream.endpoints, origins=origins)
            for name, upstream in upstreams.items()
        ),
    )


def _of_types(types: Set[str], resources: Sequence[Resource] | None) -> tuple[Resource, ...]:
    return tuple(resource for resource in resources or () if resource.type_url in types)


def _made_from(origins: tuple[Origin, ...], resources: Sequence[Resource]) -> tuple[Resource, ...]:
    """Return the same resources as made from other versions of documents."""
    return tuple(
        resource if resource.origins == origins else resource.with_origins(origins) for resource in resources
    )
