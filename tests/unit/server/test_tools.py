"""What public tools ask a gRPC server: its health, and by reflection what it serves."""

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.unit.server.clients import PATIENCE, RawStream, Running, running
from xds.server.load_reports import LoadReporting
from xds.server.services import methods

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ADS_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


async def test_health_is_not_serving_until_the_server_is_open_and_once_it_stops() -> None:
    async with running(opened=False) as it, grpc.aio.insecure_channel(it.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        async with asyncio.timeout(PATIENCE):
            assert (await watch.read()).status == NOT_SERVING
            it.server.open()
            assert (await watch.read()).status == SERVING
            stopping = asyncio.create_task(it.server.stop(grace=5))
            assert (await watch.read()).status == NOT_SERVING
            watch.cancel()
            await stopping


async def test_health_of_a_service_by_name() -> None:
    async with running(opened=False) as it, grpc.aio.insecure_channel(it.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=ADS_SERVICE))
        assert answer.status == NOT_SERVING


async def test_reflection_lists_every_service() -> None:
    async with running(load_reporting=LoadReporting(lambda _, __: None)) as it:
        expected = {method.service for method in methods()} | {
            "envoy.service.load_stats.v3.LoadReportingService",
            "envoy.service.status.v3.ClientStatusDiscoveryService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        assert set(await asyncio.to_thread(_services, it)) == expected


def _services(it: Running) -> list[str]:
    with grpc.insecure_channel(it.target) as channel:
        return list(ProtoReflectionDescriptorDatabase(channel).get_services())


async def test_reflection_describes_services_and_the_resources_in_their_messages() -> None:
    async with running() as it:
        await asyncio.to_thread(_describe, it)


def _describe(it: Running) -> None:
    with grpc.insecure_channel(it.target) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName(ADS_SERVICE)
        delta = service.methods_by_name["DeltaAggregatedResources"]
        assert delta.input_type.full_name == "envoy.service.discovery.v3.DeltaDiscoveryRequest"
        assert pool.FindServiceByName("grpc.health.v1.Health").methods_by_name["Check"]
        policy = pool.FindMessageTypeByName("envoy.config.cluster.v3.Cluster").fields_by_name["lb_policy"]
        assert policy.enum_type
        assert policy.enum_type.values_by_name["LEAST_REQUEST"].number == 1


async def test_reflection_speaks_its_present_version_too_and_knows_what_it_does_not_know() -> None:
    method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    async with running() as it, RawStream(it.port, method) as stream:
        for symbol in ("no.such.Thing", "", "...", "envoy.config.cluster.v3.Clutser", "a/../b.C"):
            question = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
            await stream.send(question.SerializeToString())
            data = await stream.receive()
            assert data is not None
            answer = reflection_pb2.ServerReflectionResponse.FromString(data)
            assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
