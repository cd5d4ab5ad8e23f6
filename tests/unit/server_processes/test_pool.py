"""Server processes are looked after, and what holds for one server holds for all of them together."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest
from envoy_data_plane.envoy.config.core.v3 import Node as WireNode

from tests.harness import PATIENCE
from tests.unit.server.clients import DeltaStream
from xds.cache import Ref, Resource, View
from xds.composition.xds_port import SERVER_PROCESS
from xds.errors import BindError
from xds.protocol import Event
from xds.server import Peer, StreamInfo
from xds.server_processes import Admission, Reported, ServerProcesses, pool
from xds.settings import Settings
from xds.type_urls import CLUSTER
from xds.wire import Node

pytestmark = pytest.mark.slow


@dataclass
class World:
    """One view that all nodes see, and what is told of them."""

    view: View = field(default_factory=View)
    open: list[str] = field(default_factory=list)
    # Nodes that asked, and have not settled: opened a stream or gone.
    asking: list[str] = field(default_factory=list)
    in_step: set[str] = field(default_factory=set)
    fails: bool = False

    async def view_of(self, node: Node, _: Peer) -> View:
        if self.fails:
            raise RuntimeError("not today")
        return self.view

    def asked(self, node: Node) -> None:
        self.asking.append(node.id)

    def settled(self, node: Node) -> None:
        self.asking.remove(node.id)

    def opened(self, stream: StreamInfo) -> None:
        assert stream.node.id in self.asking, "from the question on, the node is known"
        self.open.append(stream.node.id)

    def closed(self, stream: StreamInfo) -> None:
        self.open.remove(stream.node.id)

    def answered(self, stream: StreamInfo, event: Event) -> None:
        pass

    def in_step_of(self, stream: StreamInfo) -> None:
        self.in_step.add(stream.node.id)


class Told:
    """The observer of a world."""

    def __init__(self, world: World) -> None:
        self.opened, self.closed, self.answered = world.opened, world.closed, world.answered
        self._world = world

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        self._world.in_step_of(stream)


@asynccontextmanager
async def served(
    world: World, processes: int, *, streams: int = 100, per_node: int = 100, command: Sequence[str] = ()
) -> AsyncIterator[tuple[ServerProcesses, int]]:
    """Serve a view in several processes; yield them and their port."""

    def ignore(*_: object) -> None:
        pass

    servers = ServerProcesses(
        processes,
        command or SERVER_PROCESS,
        Settings(),
        view_of=world.view_of,
        observer=Told(world),
        reported=Reported(
            ignore,
            ignore,
            denied=ignore,
            asked=world.asked,
            settled=world.settled,
            views_released=ignore,
            loop_delays=ignore,
        ),
        load_wanted=dict,
        admission=Admission(streams, per_node),
    )
    world.view.apply([Resource.of(CLUSTER, "a", b"")])
    try:
        port = await servers.start("127.0.0.1", 0)
        servers.open()
        yield servers, port
    finally:
        await servers.stop(grace=0)


async def until(holds: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def connected(stack: AsyncExitStack, port: int, node: str) -> DeltaStream:
    """Open a stream and take what is there."""
    stream = await stack.enter_async_context(DeltaStream(port))
    await stream.ask(CLUSTER, node=WireNode(id=node))
    await stream.ack(await stream.next())
    return stream


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "xds.server_process" in each.cmdline()]


async def test_limits_hold_for_all_processes_together() -> None:
    world = World()
    async with served(world, 2, streams=6, per_node=3) as (servers, port), AsyncExitStack() as stack:
        for _ in range(3):  # each on a connection of its own
            await connected(stack, port, "greedy")
        with pytest.raises(grpc.aio.AioRpcError, match="'greedy' has 3 streams") as refused:
            await connected(stack, port, "greedy")
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for name in ("a", "b", "c"):
            await connected(stack, port, name)
        with pytest.raises(grpc.aio.AioRpcError, match="the server has 6 streams"):
            await connected(stack, port, "d")
        await until(lambda: world.in_step == {"greedy", "a", "b", "c"})
        assert sum(state.streams for state in servers.states()) == 6
        await until(lambda: all(state.memory > 10 << 20 and state.cpu for state in servers.states()))
        await stack.aclose()
        await until(lambda: not world.open and not world.asking)
        async with AsyncExitStack() as again:
            for _ in range(3):
                await connected(again, port, "greedy")


async def test_a_view_that_cannot_be_made_is_said_to_the_client_that_asked() -> None:
    world = World(fails=True)
    async with served(world, 1) as (_, port), AsyncExitStack() as stack:
        with pytest.raises(grpc.aio.AioRpcError, match="the server failed") as refused:
            await connected(stack, port, "a")
        assert refused.value.code() is grpc.StatusCode.INTERNAL
        world.fails = False
        await connected(stack, port, "a")


async def test_a_process_that_is_stuck_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LOOK", 0.5)  # a process says something every second
    world = World()
    async with served(world, 1) as (servers, port), AsyncExitStack() as stack:
        await connected(stack, port, "a")
        [stuck] = children()
        os.kill(stuck.pid, signal.SIGSTOP)
        await until(lambda: servers.trouble)
        assert servers.trouble == "xds.processes: 1 of 1 server processes do not run"
        assert not servers.running
        assert not world.open
        await until(lambda: servers.trouble is None)
        assert servers.restarts == 1
        await connected(stack, port, "a")


async def test_a_process_of_another_version_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of what is installed while the server runs."""
    world = World()
    async with served(world, 1) as (servers, _):
        monkeypatch.setattr(servers, "_code", b"of before")
        [process] = children()
        process.kill()
        await until(lambda: servers.trouble and "was upgraded" in servers.trouble)
        assert [state.running for state in servers.states()] == [False]


async def test_a_program_that_does_not_come_up_is_an_error() -> None:
    with pytest.raises(BindError, match="ended at its start with status 1"):
        async with served(World(), 2, command=("false",)):
            pass
    with pytest.raises(BindError, match="cannot be started: No such file"):
        async with served(World(), 2, command=("/no/such/program",)):
            pass
