"""Clients of a real server, over real gRPC, that send what they are told and keep what comes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc
import grpc.aio
from envoy_data_plane.envoy.config.core.v3 import Node as NodeMessage
from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from envoy_data_plane.google.rpc import Status

from xds.cache import Ref, Resource, View
from xds.protocol import Event
from xds.server import StreamInfo, TlsFiles, XdsServer
from xds.server.limits import DEFAULTS, Limits
from xds.wire import encode

PATIENCE = 30.0
"""Seconds until a test gives up; nothing is asserted about how long a thing took."""

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService"
ADS_DELTA = f"{ADS}/DeltaAggregatedResources"
ADS_SOTW = f"{ADS}/StreamAggregatedResources"


class Journal:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.streams: list[StreamInfo] = []
        self.closed_streams: list[StreamInfo] = []
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def opened(self, stream: StreamInfo) -> None:
        self.streams.append(stream)
        self._news.set()

    def closed(self, stream: StreamInfo) -> None:
        self.closed_streams.append(stream)
        self._news.set()

    def answered(self, stream: StreamInfo, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        pass

    async def until_opened(self, count: int) -> None:
        """Wait until so many streams have begun."""
        await self._until(lambda: len(self.streams) >= count)

    async def until_closed(self, count: int) -> None:
        """Wait until so many streams have ended."""
        await self._until(lambda: len(self.closed_streams) >= count)

    async def until_answered(self, count: int) -> None:
        """Wait until so many ACKs and NACKs have come."""
        await self._until(lambda: len(self.events) >= count)

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not reached():
                self._news.clear()
                await self._news.wait()


@dataclass(frozen=True)
class Running:
    """A server that listens on a free port, and the one view that it serves to everybody."""

    server: XdsServer
    view: View
    journal: Journal
    port: int

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def running(
    *resources: Resource,
    limits: Limits = DEFAULTS,
    opened: bool = True,
    tls: TlsFiles | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """Run a server with some resources."""
    view, journal = View(), Journal()
    view.apply(resources)
    server = XdsServer(lambda *_: view, journal, limits=limits, drain=0.0, **options)
    port = await server.start("127.0.0.1", 0, tls)
    if opened:
        server.open()
    try:
        yield Running(server, view, journal, port)
    finally:
        await server.stop(grace=0)


class RawStream:
    """One stream of raw bytes on a connection of its own."""

    def __init__(
        self,
        port: int,
        method: str,
        options: Iterable[tuple[str, Any]] = (),
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        target = f"127.0.0.1:{port}"
        unlimited = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
        options = (*unlimited, *options)
        if credentials:
            self._channel = grpc.aio.secure_channel(target, credentials, options)
        else:
            self._channel = grpc.aio.insecure_channel(target, options)
        self._method = method
        self.call: grpc.aio.StreamStreamCall[bytes, bytes]
        self.open()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()
        await self._channel.close()

    def open(self) -> None:
        """Open the stream, also another time."""
        self.call = self._channel.stream_stream(self._method)()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.call.write(data)

    async def done_writing(self) -> None:
        await self.call.done_writing()

    async def receive(self) -> bytes | None:
        """Return the next message, None at the end of the stream in good order."""
        async with asyncio.timeout(PATIENCE):
            data = await self.call.read()
        return data if isinstance(data, bytes) else None

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """Wait for the stream to end."""
        async with asyncio.timeout(PATIENCE):
            return await self.call.code(), await self.call.details() or ""


NODE = NodeMessage(id="proxy-1", cluster="edge")


class DeltaStream(RawStream):
    """A stream of the incremental variant."""

    def __init__(
        self, port: int, method: str = ADS_DELTA, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        super().__init__(port, method, credentials=credentials)

    async def ask(self, type_url: str, *names: str, node: NodeMessage | None = NODE, **fields: Any) -> None:
        request = DeltaDiscoveryRequest(
            node=node, type_url=type_url, resource_names_subscribe=list(names), **fields
        )
        await self.send(encode(request))

    async def next(self) -> DeltaDiscoveryResponse:
        data = await self.receive()
        assert data is not None, await self.status()
        return DeltaDiscoveryResponse.parse(data)

    async def ack(self, response: DeltaDiscoveryResponse) -> None:
        await self.ask(response.type_url, node=None, response_nonce=response.nonce)

    async def nack(self, response: DeltaDiscoveryResponse, why: str) -> None:
        error = Status(code=3, message=why)
        await self.ask(response.type_url, node=None, response_nonce=response.nonce, error_detail=error)


class SotwStream(RawStream):
    """A stream of the state-of-the-world variant."""

    def __init__(self, port: int, method: str = ADS_SOTW) -> None:
        super().__init__(port, method)

    async def ask(self, type_url: str, *names: str, node: NodeMessage | None = NODE, **fields: Any) -> None:
        await self.send(
            encode(DiscoveryRequest(node=node, type_url=type_url, resource_names=list(names), **fields))
        )

    async def next(self) -> DiscoveryResponse:
        data = await self.receive()
        assert data is not None, await self.status()
        return DiscoveryResponse.parse(data)
