"""Slow clients, floods and large bodies on a real HTTP port: they cost themselves, others are answered."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.harness import PATIENCE
from tests.harness.certificates import Authority
from xds.http import HttpServer, Readiness, ServedFrom, http_app
from xds.http.connections import ConnectionLimits
from xds.server import TlsFiles
from xds.server.tls import http_context

NEVER = 60 * PATIENCE
"""A limit that no test reaches. Each test shortens the one it is about: on a loaded machine others would
end connections that have to stay."""
SHORT = 0.5

LIMITS = ConnectionLimits(
    connections=16, handshake=NEVER, receive=NEVER, send=NEVER, keep_alive=NEVER, header_bytes=8192
)
LARGE = 32 << 20
"""Bytes; more than the kernel holds of a connection."""


@dataclass
class Served:
    """A server with its port. ``answering`` is how many requests are being answered."""

    port: int
    answering: int = 0
    large_over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the large answer is sent, or its connection has ended."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    """Of all connections that the test opened."""

    async def answer(self, request: Request) -> Response:
        self.answering += 1
        try:
            body = await request.body()
        finally:
            self.answering -= 1
        return PlainTextResponse(str(len(body)))

    async def large(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(32):
                yield b"x" * (LARGE // 32)

        async def over() -> None:
            self.large_over.set()

        return StreamingResponse(parts(), background=BackgroundTask(over))

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, which is closed in the end, and send something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 16)
        self.writers.append(writer)
        writer.write(sent)
        return reader, writer

    async def close(self) -> None:
        """Close the connections that the test opened."""
        for writer in self.writers:
            writer.close()
        closing = (writer.wait_closed() for writer in self.writers)
        await asyncio.gather(*closing, return_exceptions=True)


@asynccontextmanager
async def serving(
    limits: ConnectionLimits = LIMITS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Served]:
    it = Served(0)
    routes = [Route("/body", it.answer, methods=["POST", "GET"]), Route("/large", it.large)]
    app = http_app(lambda: Readiness(ServedFrom.SOURCE), Starlette(routes=routes), limits=limits)
    server = HttpServer(app, tls=tls, limits=limits)
    it.port = server.bind("127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    try:
        yield it
    finally:
        await it.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()


async def answered(client: httpx.AsyncClient, url: str) -> None:
    """Ask on a new connection until there is an answer.

    On a loaded machine a good client, too, may take longer than ``SHORT`` from its connection to its request.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                assert (await client.get(url)).status_code == 200
            except httpx.TransportError:
                continue
            return


@asynccontextmanager
async def bystander(it: Served) -> AsyncIterator[None]:
    """Have a good client ask one thing after the other, beside what the test does and a little longer.

    All on one connection, which no limit may end: its requests come in one piece, and it reads its answers.
    """
    over = asyncio.Event()
    url = f"http://127.0.0.1:{it.port}/live"

    async def ask(client: httpx.AsyncClient) -> None:
        beyond = 0
        while beyond < 5:
            beyond += over.is_set()
            assert (await client.get(url)).status_code == 200
            await asyncio.sleep(0.01)

    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        await answered(client, url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(client))
            try:
                yield
            finally:
                over.set()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes the connection; return what it said."""
    said = bytearray()
    async with asyncio.timeout(PATIENCE):
        try:
            while part := await reader.read(1 << 16):
                said += part
        except ConnectionError:
            pass
    return bytes(said)


SLOW: dict[str, bytes] = {
    "nothing": b"",
    "a part of the head": b"POST /body HTTP/1.1\r\nhost: x\r\n",
    "a part of the body": b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx",
    "a part of a chunk": b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nx",
}


@pytest.mark.parametrize("sent", SLOW)
async def test_a_request_that_does_not_arrive_ends_its_connection(sent: str) -> None:
    async with serving(replace(LIMITS, receive=SHORT)) as it, bystander(it):
        reader, _ = await it.connect(SLOW[sent])
        await until_closed(reader)
        while it.answering:
            await asyncio.sleep(0.01)


async def test_a_byte_now_and_then_does_not_keep_a_connection() -> None:
    async with serving(replace(LIMITS, receive=SHORT)) as it, bystander(it):
        reader, writer = await it.connect(b"GET /live HTTP/1.1\r\n")

        async def trickle() -> None:
            while not writer.is_closing():
                writer.write(b"x: y\r\n")
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(trickle())
            await until_closed(reader)
            writer.close()


async def test_after_an_answer_the_next_request_must_arrive_as_well() -> None:
    async with serving(replace(LIMITS, receive=SHORT)) as it, bystander(it):
        async with asyncio.timeout(PATIENCE):
            answer = b""
            while not answer:  # as in ``answered``
                reader, writer = await it.connect(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
                with suppress(asyncio.IncompleteReadError, ConnectionError):
                    answer = await reader.readuntil(b"}}")
        writer.write(b"GET /live")
        await until_closed(reader)


async def test_an_answer_that_nobody_reads_ends_its_connection() -> None:
    async with serving(replace(LIMITS, send=SHORT)) as it, bystander(it):
        # More than the reader's limit is left to the kernel until somebody reads.
        reader, _ = await it.connect(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await it.large_over.wait()
        assert len(await until_closed(reader)) < LARGE


async def test_idle_connections_give_way_to_new_ones() -> None:
    async with serving() as it:
        readers = [(await it.connect(b"GET /live HTTP/1.1\r\n"))[0] for _ in range(200)]
        async with bystander(it):
            for reader in readers[: 200 - LIMITS.connections]:
                await until_closed(reader)


async def test_handshakes_that_nobody_makes_end(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    tls = http_context(TlsFiles(pair.certificate, pair.key))
    async with serving(replace(LIMITS, handshake=SHORT), tls) as it:
        waiting = [(await it.connect(b"\x16\x03\x01"[: number % 4]))[0] for number in range(50)]
        trusted = authority.client_context()
        async with httpx.AsyncClient(verify=trusted, trust_env=False, timeout=PATIENCE) as client:
            await answered(client, f"https://127.0.0.1:{it.port}/live")
        for reader in waiting:
            await until_closed(reader)


async def test_large_heads_and_bodies_are_refused() -> None:
    limits = replace(LIMITS, body_bytes=10_000, bodies_bytes=25_000)

    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 1000

    async with (
        serving(limits) as it,
        bystander(it),
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{it.port}", trust_env=False, timeout=PATIENCE
        ) as client,
    ):
        assert (await client.post("/body", content=b"x" * 10_000)).text == "10000"
        assert (await client.post("/body", content=b"x" * 10_001)).status_code == 413
        assert (await client.post("/body", content=chunks(10))).text == "10000"
        assert (await client.post("/body", content=chunks(11))).status_code == 413
        reader, _ = await it.connect(b"GET /live HTTP/1.1\r\nx: " + b"y" * (1 << 20))
        assert b"200" not in await until_closed(reader)
        for length in (b"-1", b"x", b"99999999999999999999"):
            reader, _ = await it.connect(
                b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: " + length + b"\r\n\r\n"
            )
            assert (await reader.readline())[9:12] in {b"400", b"413"}
        # Three that wait for the rest of their bodies hold as much as there may be.
        head = b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n"
        waiting = [await it.connect(head + b"x" * 8_000) for _ in range(3)]
        while it.answering < 3:
            await asyncio.sleep(0.01)
        refused = await client.post("/body", content=b"x" * 9000)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        for reader, writer in waiting:
            writer.write(b"x" * 1000)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert (await client.post("/body", content=b"x" * 9000)).text == "9000"


async def test_pipelined_requests_are_answered_one_by_one() -> None:
    async with serving() as it, bystander(it):
        head = b"GET /live HTTP/1.1\r\nhost: x\r\n"
        reader, _ = await it.connect(499 * (head + b"\r\n") + head + b"connection: close\r\n\r\n")
        assert (await until_closed(reader)).count(b'"alive":true') == 500


def test_an_answer_is_not_held_back_for_an_acknowledgement() -> None:
    server = HttpServer(Starlette())
    with socket.create_connection(("127.0.0.1", server.bind("127.0.0.1", 0))):
        accepted, _ = server._socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    server.close()


async def test_a_client_that_goes_away_within_its_body_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as it, bystander(it):
        _, writer = await it.connect(b"POST /body HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx")
        async with asyncio.timeout(PATIENCE):
            while not it.answering:
                await asyncio.sleep(0.01)
            writer.transport.abort()
            while it.answering:
                await asyncio.sleep(0.01)
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
