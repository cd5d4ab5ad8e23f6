"""What edges and sidecars take from clients, before any rule is asked."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def reviews(home: Path, role: str, port: int, **settings: str) -> AsyncIterator[Grayplane]:
    """Run an edge or a sidecar of ``reviews``, whose one instance listens on ``port``."""
    grayplane = Grayplane(home)
    for path, value in settings.items():
        grayplane.set(f"{role}.{path}", value)
    grayplane.rule("reviews.yaml", {"hosts": [HOST]})
    grayplane.listed("reviews", [{"address": "127.0.0.1", "port": port}])
    async with grayplane, EnvoyProcess(grayplane.bootstrap(role)):
        yield grayplane


def address(grayplane: Grayplane, role: str) -> tuple[int, str]:
    """Return the port and the host by which ``reviews`` is called through a proxy of this role."""
    return (grayplane.edge_port, HOST) if role == "edge" else (grayplane.outbound_port, "reviews")


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """Run a server of one's own; yields its port."""
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def exchange(port: int, request: bytes) -> bytes:
    """Send these bytes and read all that comes until the other side closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("routes", ["shared", "scoped"])
async def test_a_host_on_an_edge_may_end_in_a_dot_and_have_capitals(tmp_path: Path, routes: str) -> None:
    async with (
        Upstream("reviews", "v1") as upstream,
        reviews(tmp_path, "edge", upstream.port, routes=routes) as grayplane,
        Client(grayplane.edge_port) as client,
    ):
        for host in (HOST, f"{HOST}.", f"{HOST}.:8080", HOST.upper(), f"{HOST.title()}:80"):
            assert (await client.get(host)).status == 200, host
        assert (await client.get(f"{HOST}..")).status == 404


@pytest.mark.parametrize("routes", ["shared", "scoped", "lazy"])
async def test_a_host_on_a_sidecar_may_end_in_a_dot_and_have_capitals(tmp_path: Path, routes: str) -> None:
    async with (
        Upstream("reviews", "v1") as upstream,
        reviews(tmp_path, "sidecar", upstream.port, routes=routes) as grayplane,
        Client(grayplane.outbound_port) as client,
    ):
        for host in ("reviews.", "reviews", "reviews.:8080", "Reviews", "REVIEWS:80"):
            assert (await client.get(host)).status == 200, host


@pytest.mark.parametrize(
    ("action", "status", "path"),
    [
        ("redirect", 307, "/gray/a"),
        ("keep", 200, "/gray%2Fa"),
        ("decode", 200, "/gray/a"),
        ("reject", 400, None),
    ],
)
async def test_what_becomes_of_an_escaped_slash_is_a_setting(
    tmp_path: Path, action: str, status: int, path: str | None
) -> None:
    async with (
        Upstream("reviews", "v1") as upstream,
        reviews(tmp_path, "edge", upstream.port, escaped_slashes=action) as grayplane,
        Client(grayplane.edge_port) as client,
    ):
        response = await client.get(HOST, "/gray%2Fa")
        assert response.status == status
        assert (response.json()["path"] if status == 200 else response.headers.get("location")) == path


async def test_http_1_0_is_refused_unless_a_setting_accepts_it(tmp_path: Path) -> None:
    async with (
        Upstream("reviews", "v1") as upstream,
        reviews(tmp_path, "edge", upstream.port) as grayplane,
    ):
        answer = await exchange(grayplane.edge_port, b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n" % HOST.encode())
        assert answer.startswith(b"HTTP/1.1 426 ")


@pytest.mark.parametrize(
    ("host", "default", "status"),
    [(f"Host: {HOST}\r\n", "null", b"200"), ("", "null", b"404"), ("", HOST, b"200"), ("", "other", b"404")],
)
async def test_http_1_0_as_health_checks_speak_it(
    tmp_path: Path, host: str, default: str, status: bytes
) -> None:
    async with (
        Upstream("reviews", "v1") as upstream,
        reviews(tmp_path, "edge", upstream.port, http10="true", http10_host=default) as grayplane,
    ):
        answer = await exchange(grayplane.edge_port, f"GET / HTTP/1.0\r\n{host}\r\n".encode())
        assert answer.split(b" ", 2)[1] == status


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take any upgrade, and send back what comes in capitals."""
    request = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)\r\nupgrade: (\S+)\r\n", request)
    assert found
    head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: %s\r\n\r\n"
    writer.write(head % found[1])
    while data := await reader.read(1024):
        writer.write(data.upper())
    writer.close()


@pytest.mark.parametrize(
    ("role", "protocol", "settings", "status"),
    [
        ("edge", "websocket", {}, b"101"),
        ("edge", "WebSocket", {}, b"101"),
        ("edge", "chat/2", {}, b"403"),
        ("edge", "chat/2", {"upgrades": "websocket,chat/2"}, b"101"),
        ("sidecar", "websocket", {}, b"101"),
        ("sidecar", "chat/2", {}, b"403"),
    ],
)
async def test_an_upgraded_connection_carries_bytes_both_ways(
    tmp_path: Path, role: str, protocol: str, settings: dict[str, str], status: bytes
) -> None:
    async with server(shout) as port, reviews(tmp_path, role, port, **settings) as grayplane:
        at, host = address(grayplane, role)
        reader, writer = await asyncio.open_connection("127.0.0.1", at)
        request = f"GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split(b" ", 2)[1] == status
        if status == b"101":
            for word in (b"ping", b"pong"):
                writer.write(word)
                assert await reader.readexactly(4) == word.upper()
        writer.close()


@pytest.mark.parametrize("role", ["edge", "sidecar"])
async def test_a_stream_of_http_2_is_upgraded_too(tmp_path: Path, role: str) -> None:
    """By extended CONNECT (RFC 8441), as browsers do; the instance speaks HTTP/1.1."""
    async with server(shout) as port, reviews(tmp_path, role, port) as grayplane:
        at, host = address(grayplane, role)
        reader, writer = await asyncio.open_connection("127.0.0.1", at)
        connection = H2Connection()
        connection.initiate_connection()
        while not connection.remote_settings.enable_connect_protocol:
            writer.write(connection.data_to_send())
            connection.receive_data(await reader.read(65536))
        request = {
            ":method": "CONNECT",
            ":protocol": "websocket",
            ":scheme": "http",
            ":path": "/",
            ":authority": host,
        }
        connection.send_headers(1, list(request.items()))
        connection.send_data(1, b"ping")
        answer: dict[bytes, bytes] = {}
        body = b""
        while body != b"PING":
            writer.write(connection.data_to_send())
            data = await reader.read(65536)
            assert data, "the connection ended"
            for event in connection.receive_data(data):
                if isinstance(event, ResponseReceived):
                    answer = dict(event.headers)
                elif isinstance(event, DataReceived):
                    body += event.data
        assert answer[b":status"] == b"200"
        writer.close()


@pytest.mark.parametrize("role", ["edge", "sidecar"])
@pytest.mark.parametrize("asked", ["reviews", "itself"])
async def test_nobody_is_given_a_tunnel(tmp_path: Path, role: str, asked: str) -> None:
    """CONNECT opens a way to any address in proxies that allow it."""
    async with Upstream("reviews", "v1") as upstream, reviews(tmp_path, role, upstream.port) as grayplane:
        at, host = address(grayplane, role)
        target = f"{host}:80" if asked == "reviews" else f"127.0.0.1:{upstream.port}"
        request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n"
        answer = await exchange(at, request.encode())
        assert answer.split(b" ", 2)[1] in {b"403", b"404"}
        assert upstream.requests == 0


@pytest.mark.parametrize("role", ["edge", "sidecar"])
async def test_an_event_arrives_when_it_is_sent(tmp_path: Path, role: str) -> None:
    seen = asyncio.Event()

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\n")
        await seen.wait()
        writer.write(b"data: two\n\n")
        writer.close()

    async with server(events) as port, reviews(tmp_path, role, port) as grayplane:
        at, host = address(grayplane, role)
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            client.stream("GET", f"http://127.0.0.1:{at}/", headers={"host": host}) as response,
        ):
            lines = response.aiter_lines()
            assert await anext(lines) == "data: one"
            seen.set()
            assert [line async for line in lines if line] == ["data: two"]


@pytest.mark.parametrize("role", ["edge", "sidecar"])
async def test_large_bodies_pass_both_ways(tmp_path: Path, role: str) -> None:
    size = 30_000_000

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        taken = await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + taken)
        await writer.drain()
        writer.close()

    async with server(echo) as port, reviews(tmp_path, role, port) as grayplane:
        body = os.urandom(size)
        at, host = address(grayplane, role)
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            response = await client.post(f"http://127.0.0.1:{at}/", content=body, headers={"host": host})
        assert response.content == body


async def test_applications_reach_the_mesh_by_http_proxy(tmp_path: Path) -> None:
    """As an application does that knows nothing of it, told by ``HTTP_PROXY`` alone."""
    program = "import urllib.request as r; print(r.urlopen('http://reviews:9080/a?b=c').read().decode())"
    async with (
        Upstream("reviews", "v1") as upstream,
        reviews(tmp_path, "sidecar", upstream.port) as grayplane,
    ):
        application = await asyncio.create_subprocess_exec(
            *("python3", "-c", program),
            env={"PATH": os.environ["PATH"], "http_proxy": f"http://127.0.0.1:{grayplane.outbound_port}"},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await application.communicate()
        assert b'"path": "/a?b=c"' in output
        assert b'"host": "reviews"' in output
