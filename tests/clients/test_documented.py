"""The small programs of docs/grpc.md: complete, and they follow the rules."""

import asyncio
import os

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.clients.build import Language, documented
from tests.clients.conftest import SERVICE, Mesh
from xds.bootstrap import BootstrapKind, Values, bootstrap


class _Version:
    """A service that is well, and counts who asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.server = grpc.aio.server(interceptors=[_Counter(self)], options=[("grpc.so_reuseport", 0)])
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")


class _Counter(grpc.aio.ServerInterceptor):
    def __init__(self, version: _Version) -> None:
        self._version = version

    async def intercept_service(self, continuation, details):  # type: ignore[no-untyped-def]  # its stubs have none
        self._version.asked += 1
        return await continuation(details)


async def test_the_documented_program_follows_the_rules(mesh: Mesh, language: Language) -> None:
    stable, gray = _Version(), _Version()
    for version in (stable, gray):
        await version.server.start()
    mesh.grayplane.listed(
        SERVICE,
        [
            {"address": "127.0.0.1", "port": version.port, "metadata": {"version": name}}
            for name, version in (("v1", stable), ("v2", gray))
        ],
    )
    testers = [{"headers": {"x-release": {"exact": "canary"}}}]
    mesh.rule({"name": "testers", "match": testers, "route": [{"subset": "gray"}]})
    await mesh.grayplane.until_logged(lambda entry: entry["event"] == "rule document applied")
    text = bootstrap(
        BootstrapKind.GRPC_CLIENT, Values(id="documented-1", xds=("127.0.0.1", mesh.grayplane.xds_port))
    )
    process = await asyncio.create_subprocess_exec(
        *documented(language),
        f"xds:///{SERVICE}",
        "x-release=canary",
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": text},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    serving = health_pb2.HealthCheckResponse.ServingStatus.Name(health_pb2.HealthCheckResponse.SERVING)
    assert said.decode().strip() == serving
    assert (stable.asked, gray.asked) == (0, 1)
    for version in (stable, gray):
        await version.server.stop(None)
