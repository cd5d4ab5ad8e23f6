"""A real Envoy, Grayplane behind it and the edited service's instances in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import psutil

from bench import workload
from bench.delivery import Delivery
from bench.processes import Server, running, whole
from bench.traffic import Client, port_of, upstream
from tests.harness.envoy import EnvoyProcess
from tests.harness.ports import free_port
from xds.bootstrap import Values, bootstrap

_PATIENCE = 600.0
"""Seconds for Envoy to load ten thousand services on a busy machine."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One Envoy with the routes of so many services."""

    server: Server
    envoy: EnvoyProcess
    port: int
    host: str
    _control: tuple[asyncio.StreamReader, asyncio.StreamWriter]

    @property
    def memory(self) -> int:
        """Resident bytes of Envoy."""
        return int(psutil.Process(self.envoy.pid).memory_info().rss)

    @property
    def cpu(self) -> float:
        """Seconds of CPU that Envoy has used so far."""
        times = psutil.Process(self.envoy.pid).cpu_times()
        return float(times.user + times.system)

    def tester(self) -> Client:
        """Return a connection that asks the edited service as a tester does."""
        return Client(self.port, self.host, workload.TESTER)

    async def edit(self, number: int) -> None:
        """Make an edit; return when Grayplane has heard of it."""
        reader, writer = self._control
        writer.write(f"edit {number}\n".encode())
        await reader.readline()


def version_after(edit: int) -> str:
    """Return the version that testers are sent to after so many edits."""
    return "v2" if edit % 2 else "v1"


@asynccontextmanager
async def proxy(services: int, delivery: Delivery) -> AsyncIterator[Proxy]:
    """Run it all for the length of a block; it serves when the block begins."""
    async with AsyncExitStack() as stack:
        v1, v2 = [await stack.enter_async_context(await upstream(version)) for version in ("v1", "v2")]
        port = free_port()
        command = whole(
            *("--services", services, "--routes", delivery.routes, "--listener", port),
            *("--upstreams", port_of(v1), port_of(v2)),
        )
        server = stack.enter_context(running(command))
        values = Values(cluster=workload.GROUP, xds=("127.0.0.1", server.xds), admin_port=0)
        envoy = await stack.enter_async_context(
            EnvoyProcess(bootstrap(delivery.kind, values), timeout=_PATIENCE)
        )
        control = await asyncio.open_connection("127.0.0.1", server.control)
        stack.callback(control[1].close)
        host = delivery.host(workload.EDITED)
        running_proxy = Proxy(server, envoy, port, host, control)
        async with asyncio.timeout(_PATIENCE):
            await _serving(running_proxy)
        yield running_proxy


async def _serving(running_proxy: Proxy) -> None:
    while True:
        try:
            async with running_proxy.tester() as client:
                if await client.ask() == (200, version_after(0)):
                    return
        except ConnectionError:
            pass
        await asyncio.sleep(0.05)
