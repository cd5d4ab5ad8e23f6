"""Compiled virtual hosts in an Envoy of fixed configuration: all that matching and splitting need."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Address, HeaderValue, HeaderValueOption, SocketAddress
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy_data_plane.google.protobuf import Any

from tests.harness.envoy import EnvoyProcess
from tests.harness.http import Upstream
from tests.harness.routing import routing
from xds.compiler.endpoints import load_assignment
from xds.compiler.names import cluster_name
from xds.compiler.route_configuration import route_configuration
from xds.compiler.service import compile_routes
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
async def serving(documents: Mapping[str, RuleDocument]) -> AsyncIterator[int]:
    """Run an Envoy with each document under its host, and an instance of each subset; yields the port."""
    async with AsyncExitStack() as stack:
        upstreams = {}
        for subset in SUBSETS:
            upstream = await stack.enter_async_context(Upstream("svc", subset))
            upstreams[cluster_name("svc", subset)] = [upstream.port]
        hosts = [compiled(document, host) for host, document in documents.items()]
        envoy = await stack.enter_async_context(EnvoyProcess(bootstrap(hosts, upstreams)))
        yield await envoy.port(LISTENER)


def compiled(document: RuleDocument, host: str) -> bytes:
    """Return the edge's virtual host of a document, made to serve ``host`` alone."""
    edge = compile_routes(routing("svc", document.model_copy(update={"hosts": (host,)}))).edge
    assert edge is not None
    # Names are unique within an Envoy; of a field given twice, the last counts.
    return edge + delimited(_NAME, host.encode())


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
    manager = encode(HttpConnectionManager(stat_prefix="test", http_filters=[router]))
    config = Any(type_url=type_url(HttpConnectionManager), value=manager + delimited(_ROUTE_CONFIG, routes))
    http = Filter(name="envoy.filters.network.http_connection_manager", typed_config=config)
    listener = Listener(name=LISTENER, address=_address(0), filter_chains=[FilterChain(filters=[http])])
    static = encode(BootstrapStaticResources(listeners=[listener]))
    clusters = b"".join(_cluster(name, ports) for name, ports in upstreams.items())
    admin = Bootstrap(admin=Admin(address=_address(0)))
    return encode(admin) + delimited(_STATIC_RESOURCES, static + clusters)


def _cluster(name: str, ports: Sequence[int]) -> bytes:
    endpoints = load_assignment(name, [Instance("127.0.0.1", port) for port in ports])
    cluster = encode(Cluster(name=name, type=ClusterDiscoveryType.STATIC))
    return delimited(_CLUSTERS, cluster + delimited(_LOAD_ASSIGNMENT, endpoints))


def _address(port: int) -> Address:
    return Address(socket_address=SocketAddress(address="127.0.0.1", port_value=port))
