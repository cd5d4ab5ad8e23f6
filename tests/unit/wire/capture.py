"""The first request of a real Envoy, as it comes off the wire."""

import asyncio
from typing import Any

import grpc

from tests.harness.envoy import EnvoyProcess

_TIMEOUT = 60  # seconds, for Envoy to start on a busy machine

_METHODS = {"DELTA_GRPC": "DeltaAggregatedResources", "GRPC": "StreamAggregatedResources"}


async def first_request(api_type: str) -> bytes:
    """Start Envoy against an ADS server that only listens. ``api_type``: DELTA_GRPC or GRPC."""
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await received.put(await context.read())
        await asyncio.Event().wait()

    server = grpc.aio.server()
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    methods: dict[str, Any] = {_METHODS[api_type]: grpc.stream_stream_rpc_method_handler(listen)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with EnvoyProcess(_bootstrap(api_type, port), ready=False), asyncio.timeout(_TIMEOUT):
            return await received.get()
    finally:
        await server.stop(grace=None)


def _bootstrap(api_type: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    grpc_service = {"envoy_grpc": {"cluster_name": "xds"}}
    return {
        "node": {
            "id": "edge-1",
            "cluster": "edge",
            "metadata": {"role": "edge", "upstreams": ["reviews", "ratings"], "limits": {"streams": 3}},
            "locality": {"region": "eu", "zone": "eu-1", "sub_zone": "a"},
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": api_type,
                "transport_api_version": "V3",
                "grpc_services": [grpc_service],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
                    },
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
                    },
                }
            ]
        },
    }
