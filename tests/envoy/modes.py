"""A real Envoy that fetches compiled services from a real server, in any mode it can be configured for."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import uvicorn
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterEdsClusterConfig
from envoy_data_plane.envoy.config.core.v3 import (
    ApiConfigSource,
    ApiConfigSourceApiType,
    ApiVersion,
    ConfigSource,
    GrpcService,
    GrpcServiceEnvoyGrpc,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import Rds
from starlette.types import ASGIApp

from tests.harness import PATIENCE
from tests.harness.envoy import EnvoyProcess
from tests.harness.http import Client as HttpClient
from tests.harness.http import Upstream
from tests.harness.ports import free_port
from tests.harness.routing import routing
from xds.cache import Ref, Resource, View
from xds.compiler.config_source import ADS
from xds.compiler.listeners import EdgeListener, edge_listener
from xds.compiler.route_configuration import route_configuration
from xds.compiler.route_sources import RouteSource
from xds.compiler.service import compile_routes
from xds.compiler.upstreams import Destinations, compile_upstreams
from xds.compiler.upstreams import Upstream as CompiledUpstream
from xds.protocol import Event, Rejected
from xds.rules.instance import Instance
from xds.rules.model import RuleDocument
from xds.server import StreamInfo, XdsServer
from xds.server.load_reports import ClusterLoad, LoadReporting
from xds.server.rest import discovery_app
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from xds.wire import Node, encode

HOST = "reviews.example.com"
ROUTES = "edge"


def rule(header: str, service: str = "reviews", host: str = HOST) -> RuleDocument:
    """Send requests with ``x-release: <header>`` to v2, all others to v1."""
    return RuleDocument.model_validate(
        {
            "service": service,
            "hosts": [host],
            "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
            "baseline": "stable",
            "http": [
                {
                    "name": "testers",
                    "match": [{"headers": {"x-release": {"exact": header}}}],
                    "route": [{"subset": "gray"}],
                }
            ],
        }
    )


def api(kind: ApiConfigSourceApiType, **fields: Any) -> ConfigSource:
    return ConfigSource(
        api_config_source=ApiConfigSource(api_type=kind, transport_api_version=ApiVersion.V3, **fields),
        resource_api_version=ApiVersion.V3,
    )


def grpc(kind: ApiConfigSourceApiType) -> ConfigSource:
    service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name="xds"))
    return api(kind, grpc_services=[service], set_node_on_first_message_only=True)


REST = api(
    ApiConfigSourceApiType.REST,
    cluster_names=["rest"],
    refresh_delay=timedelta(seconds=0.1),
    request_timeout=timedelta(seconds=10),
)


@dataclass(frozen=True)
class Mode:
    """Where Envoy gets each kind of resource from, and the kind of its ADS stream if it has one."""

    source: ConfigSource
    ads: ApiConfigSourceApiType | None = None


MODES = {
    "ads-delta": Mode(ADS, ApiConfigSourceApiType.DELTA_GRPC),
    "ads-sotw": Mode(ADS, ApiConfigSourceApiType.GRPC),
    "per-type-delta": Mode(grpc(ApiConfigSourceApiType.DELTA_GRPC)),
    "per-type-sotw": Mode(grpc(ApiConfigSourceApiType.GRPC)),
    "rest": Mode(REST),
}


class Watch:
    """An observer that keeps who is there and what is rejected, and takes load reports."""

    def __init__(self) -> None:
        self.streams: list[StreamInfo] = []
        self.rejected: list[Rejected] = []
        self.loads: dict[str, int] = {}

    def opened(self, stream: StreamInfo) -> None:
        self.streams.append(stream)

    def closed(self, stream: StreamInfo) -> None:
        self.streams.remove(stream)

    def answered(self, stream: StreamInfo, event: Event) -> None:
        if isinstance(event, Rejected):
            self.rejected.append(event)

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        pass

    def load(self, node: Node, clusters: tuple[ClusterLoad, ...]) -> None:
        assert node.id == "proxy"
        for cluster in clusters:
            succeeded = sum(locality.succeeded for locality in cluster.localities)
            self.loads[cluster.cluster] = self.loads.get(cluster.cluster, 0) + succeeded


class World:
    """Compiled services in a view, in a mode; instances v1 and v2 of each are the same two upstreams."""

    def __init__(self, mode: Mode, view: View, instances: list[Instance], port: int) -> None:
        self.mode = mode
        self.view = view
        self.instances = instances
        self.port = port
        self.services: dict[str, RuleDocument] = {}

    def open(self) -> None:
        """Put the listener."""
        source = RouteSource({"rds": Rds(config_source=self.mode.source, route_config_name=ROUTES)})
        body = edge_listener("edge", EdgeListener("127.0.0.1", self.port), source)
        self.view.apply([Resource.of(LISTENER, "edge", body)])

    def set(self, service: str, document: RuleDocument | None) -> None:
        """Put a service, or take it away."""
        gone: set[Ref] = set()
        if before := self.services.pop(service, None):
            names = self._upstreams(service, before)
            gone = {Ref(type_url, name) for name in names for type_url in (CLUSTER, ENDPOINT)}
        if document:
            self.services[service] = document
        put = [*self._clusters(), *self._endpoints(), self._routes()]
        self.view.apply(put, gone - {resource.ref for resource in put})

    def _upstreams(self, service: str, document: RuleDocument) -> Mapping[str, CompiledUpstream]:
        return compile_upstreams(Destinations.of(routing(service, document)), self.instances)

    def _clusters(self) -> list[Resource]:
        # Of a oneof that is there twice the last counts: this source takes the place of the compiler's.
        config = ClusterEdsClusterConfig(eds_config=self.mode.source)
        source = encode(Cluster(eds_cluster_config=config))
        return [
            Resource.of(CLUSTER, name, upstream.cluster + source, warms=Ref(ENDPOINT, name))
            for service, document in self.services.items()
            for name, upstream in self._upstreams(service, document).items()
        ]

    def _endpoints(self) -> list[Resource]:
        return [
            Resource.of(ENDPOINT, name, upstream.endpoints or b"")
            for service, document in self.services.items()
            for name, upstream in self._upstreams(service, document).items()
        ]

    def _routes(self) -> Resource:
        services = sorted(self.services.items())
        compiled = [compile_routes(routing(service, document)) for service, document in services]
        hosts = [routes.edge for routes in compiled if routes.edge]
        requires = frozenset(Ref(CLUSTER, name) for routes in compiled for name in routes.requires)
        return Resource.of(ROUTE, ROUTES, route_configuration(ROUTES, hosts), requires=requires)


@asynccontextmanager
async def http_server(app: ASGIApp) -> AsyncIterator[int]:
    """Serve an ASGI application with uvicorn, on a free port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


def bootstrap(mode: Mode, xds_port: int, rest_port: int) -> dict[str, Any]:
    """Write a bootstrap that fetches clusters and listeners in a mode, and reports load."""
    grpc_service = {"envoy_grpc": {"cluster_name": "xds"}}
    source = mode.source.to_dict()
    dynamic: dict[str, Any] = {"cds_config": source, "lds_config": source}
    if mode.ads is not None:
        dynamic["ads_config"] = {
            "api_type": mode.ads.name,
            "transport_api_version": "V3",
            "grpc_services": [grpc_service],
            "set_node_on_first_message_only": True,
        }
    return {
        "node": {"id": "proxy", "cluster": "edge"},
        "dynamic_resources": dynamic,
        "cluster_manager": {
            "load_stats_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [grpc_service],
            }
        },
        "static_resources": {
            "clusters": [static_cluster("xds", xds_port, http2=True), static_cluster("rest", rest_port)]
        },
    }


def static_cluster(name: str, port: int, *, http2: bool = False) -> dict[str, Any]:
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options" if http2 else "http_protocol_options": {}},
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


@dataclass(frozen=True)
class Running:
    """All of it, with a client of Envoy's listener."""

    world: World
    watch: Watch
    envoy: EnvoyProcess
    http: HttpClient
    xds_port: int

    async def version(self, host: str = HOST, release: str = "") -> str | int:
        """Ask who answers: a version, or the status of an answer that is none of theirs."""
        response = await self.http.get(host, headers=[("x-release", release)])
        return response.json()["version"] if response.status == 200 else response.status


@asynccontextmanager
async def running(mode: Mode) -> AsyncIterator[Running]:
    """Run a server, an Envoy in a mode, and the service ``reviews`` with versions v1 and v2."""
    async with AsyncExitStack() as stack:
        upstreams = [await stack.enter_async_context(Upstream("reviews", name)) for name in ("v1", "v2")]
        instances = [
            Instance("127.0.0.1", upstream.port, metadata={"version": upstream.version})
            for upstream in upstreams
        ]
        view, watch = View(), Watch()
        world = World(mode, view, instances, free_port())
        world.set("reviews", rule("canary"))
        world.open()
        reporting = LoadReporting(watch.load, interval=0.2)
        server = XdsServer(lambda *_: view, watch, drain=0.1, load_reporting=reporting)

        async def view_of(*_: object) -> View:
            return view

        app = discovery_app(view_of, watch, serving=lambda: server.serving)
        rest_port = await stack.enter_async_context(http_server(app))
        xds_port = await server.start("127.0.0.1", 0)
        stack.push_async_callback(server.stop, 0)
        server.open()
        envoy = await stack.enter_async_context(EnvoyProcess(bootstrap(mode, xds_port, rest_port)))
        http = await stack.enter_async_context(HttpClient(world.port))
        yield Running(world, watch, envoy, http, xds_port)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has come about."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.02)
