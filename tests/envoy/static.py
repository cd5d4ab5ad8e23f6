"""Compiled virtual hosts in an Envoy of fixed configuration: all that matching and splitting need."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from envoy_data_plane.envoy.config.bootstrap.v3 import (
    Admin,
    Bootstrap,
    BootstrapStaticResources,
    LayeredRuntime,
    RuntimeLayer,
)
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Address, HeaderValue, HeaderValueOption, SocketAddress
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy_data_plane.google.protobuf import Any, Struct, Value

from tests.harness.envoy import EnvoyProcess
from tests.harness.http import Upstream
from tests.harness.routing import routing
from xds.compiler.endpoints import load_assignment
from xds.compiler.names import cluster_name
from xds.compiler.route_configuration import route_configuration
from xds.compiler.route_filters import route_filters
from xds.compiler.service import ServiceRoutes, compile_routes
from xds.routing import Surroundings
from xds.rules.instance import Instance
from xds.rules.model import RuleDocument
from xds.wire import any_of, delimited, encode, type_url

LISTENER = "test"

ROUTE_HEADER = "x-route"
"""The response header that names the route a request took."""

_NAME = 1  # VirtualHost.name
_LOAD_ASSIGNMENT = 33  # Cluster.load_assignment
_CLUSTERS = 2  # Bootstrap.StaticResources.clusters
_STATIC_RESOURCES = 2  # Bootstrap.static_resources
_ROUTE_CONFIG = 4  # HttpConnectionManager.route_config


SUBSETS = ("base", "one", "two", "three")
"""The subsets of ``svc``, the service that all documents here are about; ``base`` is the baseline."""


def document(*rules: object, **fields: object) -> RuleDocument:
    """Make a document of ``svc`` with these rules."""
    subsets = {name: {"labels": {"version": name}} for name in SUBSETS}
    return RuleDocument.model_validate(
        {"service": "svc", "subsets": subsets, "baseline": "base", "http": rules, **fields}
    )


@asynccontextmanager
async def serving(
    documents: Mapping[str, RuleDocument],
    surroundings: Surroundings | None = None,
    counts: dict[str, int] | None = None,
) -> AsyncIterator[int]:
    """Run an Envoy with each document under its host, and an instance of each subset; yields the port.

    ``counts`` gets the number of requests that each subset was sent.
    """
    async with AsyncExitStack() as stack:
        instances = {subset: await stack.enter_async_context(Upstream("svc", subset)) for subset in SUBSETS}
        compiled = {host: _compiled(document, host, surroundings) for host, document in documents.items()}
        names = {cluster_name("svc", subset) for subset in SUBSETS}.union(
            *(routes.requires for routes in compiled.values())
        )
        upstreams = {name: [instances[name.split("|")[1]].port] for name in sorted(names)}
        hosts = [_virtual_host(routes, host) for host, routes in compiled.items()]
        envoy = await stack.enter_async_context(EnvoyProcess(bootstrap(hosts, upstreams)))
        yield await envoy.port(LISTENER)
        if counts is not None:
            counts |= {subset: instance.requests for subset, instance in instances.items()}


def _compiled(document: RuleDocument, host: str, surroundings: Surroundings | None) -> ServiceRoutes:
    return compile_routes(routing("svc", document.model_copy(update={"hosts": (host,)}), surroundings))


def virtual_host(document: RuleDocument, host: str, surroundings: Surroundings | None = None) -> bytes:
    """Return the edge's virtual host of a document, made to serve ``host`` alone."""
    return _virtual_host(_compiled(document, host, surroundings), host)


def _virtual_host(routes: ServiceRoutes, host: str) -> bytes:
    assert routes.edge is not None
    # Names are unique within an Envoy; of a field given twice, the last counts.
    return routes.edge + delimited(_NAME, host.encode())


def bootstrap(virtual_hosts: Iterable[bytes], upstreams: Mapping[str, Sequence[int]]) -> bytes:
    """Encode a bootstrap with one listener for the hosts, and clusters by name with their local ports."""
    routes = route_configuration("test", virtual_hosts) + encode(
        RouteConfiguration(
            response_headers_to_add=[
                HeaderValueOption(header=HeaderValue(key=ROUTE_HEADER, value="%ROUTE_NAME%"))
            ]
        )
    )
    router = HttpFilter(name="envoy.filters.http.router", typed_config=any_of(Router()))
    manager = encode(
        HttpConnectionManager(
            stat_prefix="test",
            http_filters=[*route_filters(), router],
            use_remote_address=True,
            xff_num_trusted_hops=1,  # tests say by x-forwarded-for where a request comes from
        )
    )
    config = Any(type_url=type_url(HttpConnectionManager), value=manager + delimited(_ROUTE_CONFIG, routes))
    http = Filter(name="envoy.filters.network.http_connection_manager", typed_config=config)
    listener = Listener(name=LISTENER, address=_address(0), filter_chains=[FilterChain(filters=[http])])
    static = encode(BootstrapStaticResources(listeners=[listener]))
    clusters = b"".join(_cluster(name, ports) for name, ports in upstreams.items())
    admin = Bootstrap(admin=Admin(address=_address(0)), layered_runtime=_runtime())
    return encode(admin) + delimited(_STATIC_RESOURCES, static + clusters)


def _runtime() -> LayeredRuntime:
    """Return what envoy/edge.yaml has, too: a header on several lines is one value."""
    layer = Struct(fields={"envoy.reloadable_features.match_headers_individually": Value(bool_value=False)})
    return LayeredRuntime(layers=[RuntimeLayer(name="static", static_layer=layer)])


def _cluster(name: str, ports: Sequence[int]) -> bytes:
    endpoints = load_assignment(name, [Instance("127.0.0.1", port) for port in ports])
    cluster = encode(Cluster(name=name, type=ClusterDiscoveryType.STATIC))
    return delimited(_CLUSTERS, cluster + delimited(_LOAD_ASSIGNMENT, endpoints))


def _address(port: int) -> Address:
    return Address(socket_address=SocketAddress(address="127.0.0.1", port_value=port))
