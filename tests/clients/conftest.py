"""A Grayplane, two versions of a gRPC service, and clients of four languages that follow its rules."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.build import Language, missing_tools
from tests.clients.client import GrpcClient
from tests.clients.server import GrpcServer
from tests.harness.grayplane import Grayplane, until
from xds.bootstrap import BootstrapKind, Values, bootstrap

SERVICE = "reviews"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with every language: Go and Python always, the others where their tools are.

    Those that take minutes (``soak``) run with Go and Python alone.
    """
    if "language" in metafunc.fixturenames:
        always = {Language.GO, Language.PYTHON}
        others = metafunc.definition.get_closest_marker("soak") is None
        here = [each for each in Language if each in always or (others and not missing_tools(each))]
        metafunc.parametrize("language", here, ids=str)


class Mesh:
    """Grayplane, instances of ``reviews`` by version, and the client under test."""

    def __init__(self, grayplane: Grayplane, language: Language, stack: AsyncExitStack) -> None:
        self.grayplane = grayplane
        self._language = language
        self._stack = stack
        self.servers: dict[str, list[GrpcServer]] = {}
        self.client: GrpcClient

    async def serve(self, **instances: int) -> None:
        """Start so many instances of each version, and list them."""
        for version, count in instances.items():
            self.servers[version] = [
                await self._stack.enter_async_context(GrpcServer(version)) for _ in range(count)
            ]
        self.list_instances()

    def list_instances(self, *without: str) -> None:
        """List all instances but those of some versions."""
        self.grayplane.listed(
            SERVICE,
            [
                {"address": "127.0.0.1", "port": server.port, "metadata": {"version": version}}
                for version, servers in self.servers.items()
                if version not in without
                for server in servers
            ],
        )

    def rule(self, *http: dict[str, Any], **fields: Any) -> None:
        """Publish the rules of ``reviews``, for gRPC clients."""
        document = {
            "clients": ["grpc"],
            "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
            "baseline": "stable",
            "http": list(http),
            **fields,
        }
        self.grayplane.rule(f"{SERVICE}.yaml", json.dumps(document))

    async def connect(self, *, ruled: bool = True) -> None:
        """Start the client when the rules are in force, and wait until its calls are answered."""
        if ruled:
            await self.grayplane.until_logged(lambda entry: entry["event"] == "rule document applied")
        text = bootstrap(
            BootstrapKind.GRPC_CLIENT,
            Values(id=f"{self._language}-1", xds=("127.0.0.1", self.grayplane.xds_port)),
        )
        assert json.loads(text)["node"]["metadata"]["role"] == "grpc-client"
        self.client = await self._stack.enter_async_context(GrpcClient(self._language, SERVICE, text))
        await self.until(lambda version: version in self.servers)

    async def version(self, **headers: str) -> str:
        """Call once; return the version that answered."""
        answer = await self.client.call({name.replace("_", "-"): value for name, value in headers.items()})
        assert answer.ok, answer
        return answer.version

    async def until_answered_by(self, version: str, headers: dict[str, str]) -> None:
        """Call until a version answers."""

        async def called() -> bool:
            return (await self.client.call(headers)).version == version

        await until(called)

    async def until(self, holds: Callable[[str], bool], **headers: str) -> None:
        """Call until the version that answers is right."""

        async def called() -> bool:
            answer = await self.client.call(
                {name.replace("_", "-"): value for name, value in headers.items()}
            )
            return answer.ok and holds(answer.version)

        await until(called)


@pytest.fixture
async def mesh(tmp_path: Path, language: Language) -> AsyncIterator[Mesh]:
    async with AsyncExitStack() as stack:
        grayplane = await stack.enter_async_context(
            Grayplane(tmp_path, "--set", "rollouts.report_interval=1")
        )
        yield Mesh(grayplane, language, stack)
