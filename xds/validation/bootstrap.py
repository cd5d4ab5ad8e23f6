"""A bootstrap that holds what services are compiled to, for ``envoy --mode validate``."""

from collections.abc import Callable, Iterable

from envoy_data_plane.envoy.config.bootstrap.v3 import (
    Bootstrap,
    BootstrapDynamicResources,
    BootstrapStaticResources,
)
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    ApiConfigSource,
    ApiConfigSourceApiType,
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Node,
    SocketAddress,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.google.protobuf import Any

from xds.compiler.connection_managers import HttpSettings, edge_manager, outbound_manager
from xds.compiler.route_configuration import route_configuration
from xds.compiler.route_sources import RouteSource
from xds.compiler.service import with_domains
from xds.routing.lanes import Entrances
from xds.views import CompiledService
from xds.wire import build, delimited, encode, type_url

_STATIC_RESOURCES = 2  # Bootstrap.static_resources
_CLUSTERS = 2  # Bootstrap.StaticResources.clusters
_ROUTE_CONFIG = 4  # HttpConnectionManager.route_config
_ADS = "ads"


def bootstrap(services: Iterable[CompiledService]) -> bytes:
    """Encode a bootstrap with the clusters and virtual hosts of services of one namespace.

    Endpoints are left out: a static cluster has no place for them, and they come from no document. So are
    what operators set of listeners: routes must only fit the filters that all listeners have.
    """
    mesh: list[bytes] = []
    # Two services may have one host on different gateways.
    edges: dict[str, list[bytes]] = {}
    clusters: list[bytes] = []
    for service in services:
        mesh.append(with_domains(service.mesh, service.mesh_names))
        for gateway in service.gateways if service.edge else ():
            edges.setdefault(gateway, []).append(service.edge or b"")
        clusters += [delimited(_CLUSTERS, cluster.body) for cluster in service.clusters]
    listeners = [_listener("mesh", outbound_manager, mesh)]
    listeners += [_listener(f"edge-{name}", _edge_manager, hosts) for name, hosts in sorted(edges.items())]
    static = encode(build(BootstrapStaticResources, listeners=listeners, clusters=[_ads_cluster()]))
    whole = build(
        Bootstrap,
        node=build(Node, id="validation", cluster="validation"),
        dynamic_resources=build(BootstrapDynamicResources, ads_config=_ads()),
    )
    return encode(whole) + delimited(_STATIC_RESOURCES, static + b"".join(clusters))


def _edge_manager(settings: HttpSettings, routes: RouteSource) -> HttpConnectionManager:
    return edge_manager(settings, 0, routes, Entrances())


def _listener(
    name: str,
    manager: Callable[[HttpSettings, RouteSource], HttpConnectionManager],
    hosts: Iterable[bytes],
) -> Listener:
    routes = delimited(_ROUTE_CONFIG, route_configuration(name, hosts))
    config = Any(
        type_url=type_url(HttpConnectionManager),
        value=encode(manager(HttpSettings(), RouteSource({}))) + routes,
    )
    http = build(Filter, name="envoy.filters.network.http_connection_manager", typed_config=config)
    address = build(Address, socket_address=build(SocketAddress, address="127.0.0.1", port_value=0))
    return build(Listener, name=name, address=address, filter_chains=[build(FilterChain, filters=[http])])


def _ads() -> ApiConfigSource:
    """Return where EDS clusters would have their endpoints from; nothing is connected to."""
    service = build(GrpcService, envoy_grpc=build(GrpcServiceEnvoyGrpc, cluster_name=_ADS))
    return build(
        ApiConfigSource,
        api_type=ApiConfigSourceApiType.DELTA_GRPC,
        transport_api_version=ApiVersion.V3,
        grpc_services=[service],
    )


def _ads_cluster() -> Cluster:
    return build(Cluster, name=_ADS, type=ClusterDiscoveryType.STATIC)
