"""TLS on the gRPC port: who gets in, who does not, and what happens when the files change."""

import asyncio
import socket
import ssl
import warnings
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from tests.harness.certificates import Authority, Pair
from tests.unit.server.clients import DeltaStream, Running, running
from xds.cache import Resource
from xds.server import TlsError, TlsFiles
from xds.server.tls import http_context
from xds.type_urls import CLUSTER

A, A_LATER = (Resource.of(CLUSTER, "a", body) for body in (b"\x0a\x01a", b"\x0a\x01a\x1a\x00"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def files(pair: Pair, client_ca: Path | None = None) -> TlsFiles:
    return TlsFiles(pair.certificate, pair.key, client_ca)


def credentials(authority: Authority, pair: Pair | None = None) -> grpc.ChannelCredentials:
    read = (pair.key.read_bytes(), pair.certificate.read_bytes()) if pair else (None, None)
    return grpc.ssl_channel_credentials(authority.file.read_bytes(), *read)


async def served(it: Running, secret: grpc.ChannelCredentials | None) -> str:
    """Return the names that a client is sent, or how its stream ends."""
    async with DeltaStream(it.port, credentials=secret) as stream:
        try:
            await stream.ask(CLUSTER)
            response = await stream.receive()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            response = None
        return "served" if response else (await stream.status())[0].name


async def test_a_client_that_trusts_the_server_is_served_and_one_that_does_not_speak_tls_is_not(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other")
    async with running(A, tls=files(authority.server())) as it:
        assert await served(it, credentials(authority)) == "served"
        assert await served(it, credentials(stranger)) == "UNAVAILABLE"
        assert await served(it, None) == "UNAVAILABLE"


Attack = Callable[[Authority, Authority], Pair | None]
ATTACKS: dict[str, tuple[Attack, str]] = {
    "its certificate": (lambda ours, _: ours.issue("client", dns=["edge.internal"]), "served"),
    "no certificate": (lambda *_: None, "UNAVAILABLE"),
    "an expired one": (
        lambda ours, _: ours.issue("client", dns=["edge.internal"], expired=True),
        "UNAVAILABLE",
    ),
    "one of another authority": (
        lambda _, other: other.issue("client", dns=["edge.internal"]),
        "UNAVAILABLE",
    ),
}


@pytest.mark.parametrize("shown", ATTACKS)
async def test_with_a_client_ca_only_its_certificates_get_in(
    authority: Authority, tmp_path: Path, shown: str
) -> None:
    attack, outcome = ATTACKS[shown]
    pair = attack(authority, Authority(tmp_path / "other"))
    async with running(A, tls=files(authority.server(), authority.file)) as it:
        assert await served(it, credentials(authority, pair)) == outcome
        if outcome == "served":
            [stream] = it.journal.streams
            assert stream.peer.identities == ("dns:edge.internal",)
        else:
            assert not it.journal.streams


@pytest.mark.parametrize(
    ("version", "accepted"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
async def test_no_version_before_1_2_is_spoken(
    authority: Authority, version: ssl.TLSVersion, *, accepted: bool
) -> None:
    context = authority.client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns against the old versions, too
        context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with running(A, tls=files(authority.server())) as it:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", it.port, ssl=context)
        except (ssl.SSLError, ConnectionError):
            spoken = False
        else:
            spoken = True
            writer.transport.abort()
    assert spoken is accepted


async def test_new_files_are_used_for_new_connections_and_lose_no_stream(
    authority: Authority, tmp_path: Path
) -> None:
    used, successor = authority.server(), Authority(tmp_path / "next")
    async with (
        running(A, tls=files(used)) as it,
        DeltaStream(it.port, credentials=credentials(authority)) as stream,
    ):
        await stream.ask(CLUSTER)
        await stream.ack(await stream.next())
        successor.server().copy_to(used)
        assert await served(it, credentials(successor)) == "served"
        assert await served(it, credentials(authority)) == "UNAVAILABLE"
        it.view.apply([A_LATER])
        assert [each.name for each in (await stream.next()).resources] == ["a"]


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n"], ids=["emptied", "half written"])
async def test_new_files_of_no_use_leave_the_old_ones_in_use(authority: Authority, content: bytes) -> None:
    used = authority.server()
    async with running(A, tls=files(used)) as it:
        used.certificate.write_bytes(content)
        assert await served(it, credentials(authority)) == "served"
        used.certificate.unlink()
        assert await served(it, credentials(authority)) == "served"
        authority.server("renewed").copy_to(used)
        assert await served(it, credentials(authority)) == "served"


async def test_a_server_does_not_start_with_files_of_no_use(authority: Authority, tmp_path: Path) -> None:
    server, other = authority.server(), authority.issue("other")
    for wrong in (
        TlsFiles(server.certificate, other.key),
        TlsFiles(tmp_path / "missing.crt", server.key),
        TlsFiles(server.certificate, server.key, server.key),
    ):
        with pytest.raises(TlsError, match=r"\.(crt|key)"):
            async with running(tls=wrong):
                pass


async def test_connections_that_never_shake_hands_hold_up_nobody(authority: Authority) -> None:
    async with running(A, tls=files(authority.server())) as it, AsyncExitStack() as stack:
        for number in range(200):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", it.port)))
            idle.sendall(b"\x16\x03\x01"[: number % 4])
        assert await served(it, credentials(authority)) == "served"


async def test_an_http_port_reads_its_files_again_at_each_handshake(
    authority: Authority, tmp_path: Path
) -> None:
    used, successor = authority.server(), Authority(tmp_path / "next")

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def connects(to: Authority, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=to.client_context())
        except ssl.SSLCertVerificationError:
            return False
        writer.close()
        return True

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=http_context(files(used)))
    async with server:
        port = server.sockets[0].getsockname()[1]
        old = authority.client_context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns against the old version, too
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old)
        assert (await connects(authority, port), await connects(successor, port)) == (True, False)
        successor.server().copy_to(used)
        assert (await connects(authority, port), await connects(successor, port)) == (False, True)


async def test_an_http_port_takes_over_a_new_authority_of_clients(
    authority: Authority, tmp_path: Path
) -> None:
    first, second = Authority(tmp_path / "1", "first"), Authority(tmp_path / "2", "second")
    bundle = tmp_path / "clients.crt"

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")
        writer.write(b"known" if subject else b"nobody")
        writer.close()

    async def told(to: int, pair: Pair | None) -> bytes:
        context = authority.client_context(pair)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", to, ssl=context)
            said = await reader.read()
        except (ssl.SSLError, ConnectionError):
            return b"refused"
        writer.close()
        return said or b"refused"

    clients = [None, first.issue("client"), second.issue("client")]
    bundle.write_bytes(first.file.read_bytes())
    tls = http_context(files(authority.server(), bundle))
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        assert [await told(port, each) for each in clients] == [b"nobody", b"known", b"refused"]
        bundle.write_bytes(first.file.read_bytes() + second.file.read_bytes())
        assert [await told(port, each) for each in clients] == [b"nobody", b"known", b"known"]
        bundle.write_bytes(first.file.read_bytes() + second.file.read_bytes()[:200])
        assert [await told(port, each) for each in clients] == [b"nobody", b"known", b"known"]
        bundle.write_bytes(second.file.read_bytes())
        assert [await told(port, each) for each in clients] == [b"nobody", b"refused", b"known"]
