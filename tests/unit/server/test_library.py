"""The core serves anything: the example of the documentation, run as it stands."""

import asyncio
import importlib
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryResponse
from envoy_data_plane.envoy.service.runtime.v3 import Runtime

from tests.unit.server.clients import PATIENCE, DeltaStream, SotwStream
from xds.type_urls import RUNTIME

DOCS = Path(__file__).parents[3] / "docs"


class Example:
    """The example, running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._lines = process.stdout
        self._stdin = process.stdin

    def type(self, line: str) -> None:
        self._stdin.write(f"{line}\n".encode())

    async def says(self) -> str:
        """Return the next line that it prints."""
        async with asyncio.timeout(PATIENCE):
            return (await self._lines.readline()).decode().strip()

    async def says_next(self, *lines: str) -> None:
        """Check the next lines, in any order: they are about streams that do not wait for each other."""
        assert sorted([await self.says() for _ in lines]) == sorted(lines)


@asynccontextmanager
async def example() -> AsyncIterator[tuple[Example, int]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, DOCS / "example_server.py", "0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        it = Example(process)
        listening, port = (await it.says()).split()
        assert listening == "listening"
        yield it, int(port)
        process.stdin.close()  # type: ignore[union-attr]
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def layers(response: DeltaDiscoveryResponse) -> dict[str, object]:
    found = {}
    for resource in response.resources:
        assert resource.resource
        found[resource.name] = Runtime.parse(resource.resource.value).to_dict()["layer"]
    return found


async def test_the_example_serves_what_is_set_changed_and_removed_while_clients_are_connected() -> None:
    async with example() as (it, port), DeltaStream(port) as edge, DeltaStream(port) as other:
        await edge.ask(RUNTIME, "flags", node=Node(id="edge-1", cluster="edge"))
        assert await it.says() == "connected edge-1"
        assert (await edge.next()).removed_resources == ["flags"], "there is none yet"
        await other.ask(RUNTIME, "flags", node=Node(id="other-1", cluster="other"))
        assert await it.says() == "connected other-1"
        await other.next()

        for content in ('{"new-checkout": true}', '{"new-checkout": false}'):
            it.type(f"edge flags {content}")
            response = await edge.next()
            assert layers(response) == {"flags": {"new-checkout": "true" in content}}
            await edge.ack(response)
            assert await it.says() == "Acked edge-1 flags"

        it.type("edge flags")
        response = await edge.next()
        assert response.removed_resources == ["flags"]
        await edge.nack(response, "no")
        assert await it.says() == "Rejected edge-1 flags"

        it.type('other flags {"theirs": 1}')
        assert layers(await other.next()) == {"flags": {"theirs": 1.0}}, "and nothing of the other group's"

        await edge.done_writing()
        assert await it.says() == "disconnected edge-1"


async def test_the_example_serves_both_variants_and_each_types_own_service() -> None:
    method = "/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime"
    async with example() as (it, port), SotwStream(port, method) as stream:
        it.type('edge flags {"a": 1}')
        await stream.ask("", "flags", node=Node(id="edge-1", cluster="edge"))
        response = await stream.next()
        assert [Runtime.parse(each.value).name for each in response.resources] == ["flags"]


async def test_the_example_says_what_it_does_not_understand() -> None:
    async with example() as (it, _):
        for line in ("edge", "edge flags {", "edge flags []"):
            it.type(line)
            assert (await it.says()).startswith("not understood:")


def test_what_the_documentation_names_is_there() -> None:
    text = (DOCS / "library.md").read_text()
    modules = [importlib.import_module(name) for name in sorted(set(re.findall(r"xds\.[a-z]+", text)))]
    named = {
        name for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text) for name in re.findall(r"[A-Z]\w+", code)
    }
    of_ours = {name for name in named if not name.isupper() and "DiscoveryService" not in name}
    assert {"XdsServer", "Resource", "Rejected", "Limits"} <= of_ours
    unknown = {name for name in of_ours if not any(hasattr(module, name) for module in modules)}
    assert not unknown
