"""Each outage of a real Nacos while requests go through a real Envoy: none fails, and no edit is lost."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.nacos import RNacos, port_pair, rnacos_process
from tests.harness.nacos_console import console
from tests.harness.tcp_proxy import TcpProxy, tcp_proxy
from tests.nacos.world import HOST, World, rule

pytestmark = pytest.mark.outage


class Traffic:
    """Requests one after the other; what failed is kept."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.answered = 0
        self.failed: list[int] = []

    async def run(self) -> None:
        while True:
            answer = await self._client.get(HOST)
            if answer.status == 200:
                self.answered += 1
            else:
                self.failed.append(answer.status)
            await asyncio.sleep(0.01)


class Outage:
    """A Nacos of our own behind a proxy, Grayplane, Envoy and traffic."""

    def __init__(self, nacos: RNacos, proxy: TcpProxy, grayplane: Grayplane, world: World) -> None:
        self.nacos = nacos
        self.proxy = proxy
        self.grayplane = grayplane
        self.world = world

    async def stopped(self) -> None:
        """Stopped and started again with its data."""
        self.nacos.stop(signal.SIGTERM)
        await asyncio.sleep(3)
        await asyncio.to_thread(self.nacos.start)

    async def killed(self) -> None:
        """Killed and started again with its data."""
        self.nacos.stop(signal.SIGKILL)
        await asyncio.sleep(3)
        await asyncio.to_thread(self.nacos.start)

    async def hung(self) -> None:
        """Stopped in the middle of everything, with its connections open."""
        self.nacos.send(signal.SIGSTOP)
        await asyncio.sleep(12)
        self.nacos.send(signal.SIGCONT)

    async def port_closed(self) -> None:
        """Connections are reset and refused."""
        await self.proxy.cut()
        await asyncio.sleep(3)
        await self.proxy.start()

    async def half_open(self) -> None:
        """Connections stay open and new ones are taken, and nothing passes."""
        self.proxy.hang()
        await asyncio.sleep(12)
        self.proxy.flow()

    async def http_hung(self) -> None:
        """HTTP is silent while gRPC is well: edits still arrive."""
        self.proxy.hang(self.nacos.port)
        await asyncio.sleep(5)
        await self.world.operator.publish("reviews.yaml", rule(0))
        await self.world.until("v1")
        self.proxy.flow()

    async def grpc_hung(self) -> None:
        """GRPC is silent while HTTP is well."""
        self.proxy.hang(self.nacos.port + 1000)
        await asyncio.sleep(12)
        self.proxy.flow()

    async def slow(self) -> None:
        """Five seconds a call."""
        self.proxy.delay = 5.0
        await asyncio.sleep(12)
        self.proxy.delay = 0.0

    async def data_lost(self) -> None:
        """Started again with an empty disk; services register again, and rules are restored one by one."""
        self.nacos.stop(signal.SIGKILL)
        self.nacos.wipe()
        await asyncio.to_thread(self.nacos.start)
        await asyncio.sleep(5)
        await self.world.operator.create_namespace()
        for upstream in (self.world.v1, self.world.v2):
            await self.world.register(upstream)


OUTAGES: list[Callable[[Outage], Awaitable[None]]] = [
    Outage.stopped,
    Outage.killed,
    Outage.hung,
    Outage.port_closed,
    Outage.half_open,
    Outage.http_hung,
    Outage.grpc_hung,
    Outage.slow,
    Outage.data_lost,
]


@pytest.fixture
async def outage(tmp_path: Path) -> AsyncIterator[Outage]:
    port = port_pair()
    async with contextlib.AsyncExitStack() as stack:
        nacos = stack.enter_context(rnacos_process(tmp_path / "nacos"))
        target = nacos.port
        proxy = await stack.enter_async_context(
            tcp_proxy("127.0.0.1", {port: target, port + 1000: target + 1000})
        )
        operator = await stack.enter_async_context(console(nacos.server, "outage"))
        v1 = await stack.enter_async_context(Upstream("reviews", "v1"))
        v2 = await stack.enter_async_context(Upstream("reviews", "v2"))
        home = tmp_path / "grayplane"
        home.mkdir()
        environment = nacos.server.environment("outage")
        grayplane = await stack.enter_async_context(
            Grayplane(home, "--nacos", f"127.0.0.1:{port}", environment=environment)
        )
        await stack.enter_async_context(EnvoyProcess(grayplane.bootstrap("edge")))
        client = await stack.enter_async_context(Client(grayplane.edge_port))
        world = World(operator, client, v1, v2)
        await world.register(v1)
        await world.register(v2)
        await operator.publish("reviews.yaml", rule(100))
        await world.until("v2")
        yield Outage(nacos, proxy, grayplane, world)


@pytest.mark.parametrize("happens", OUTAGES, ids=lambda each: each.__name__)
async def test_no_request_fails_and_no_edit_is_lost(
    outage: Outage, happens: Callable[[Outage], Awaitable[None]]
) -> None:
    async with Client(outage.grayplane.edge_port) as client:
        traffic = Traffic(client)
        going_on = asyncio.create_task(traffic.run())
        try:
            await happens(outage)
            await outage.world.operator.publish("reviews.yaml", rule(100, enabled=False))
            await outage.world.until("v1")
            await outage.world.operator.publish("reviews.yaml", rule(100))
            await outage.world.until("v2")
            await until_well(outage.grayplane)
        finally:
            going_on.cancel()
            await asyncio.wait([going_on])
    assert traffic.failed == []
    assert traffic.answered > 0


async def until_well(grayplane: Grayplane) -> None:
    async def holds() -> bool:
        async with Client(grayplane.http_port) as http:
            ready = (await http.get("localhost", "/ready")).json()
        return ready["trouble"] is None and ready["source"]["servers"] != []

    await until(holds)
