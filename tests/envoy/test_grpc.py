"""gRPC through edges and sidecars: every kind of call, rules on methods and metadata, errors as statuses."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from tests.harness import PATIENCE
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.grpc_upstream import SERVICE, GrpcUpstream

HOST = "reviews.example.com"
SUBSETS = {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}}


def document(**more: Any) -> dict[str, Any]:
    return {"hosts": [HOST], "subsets": SUBSETS, "baseline": "stable", **more}


@asynccontextmanager
async def calling(
    home: Path,
    role: str,
    rule: dict[str, Any],
    *upstreams: GrpcUpstream,
    metadata: dict[str, str] | None = None,
) -> AsyncIterator[tuple[Grayplane, grpc.aio.Channel]]:
    """Run an edge or sidecar before these instances; yields a channel to the service by its host."""
    grayplane = Grayplane(home)
    grayplane.rule("reviews.yaml", rule)
    grayplane.listed("reviews", [listed(upstream, metadata) for upstream in upstreams])
    port, host = (grayplane.edge_port, HOST) if role == "edge" else (grayplane.outbound_port, "reviews")
    options = [("grpc.default_authority", host)]
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap(role)),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel,
    ):
        yield grayplane, channel


def listed(upstream: GrpcUpstream, metadata: dict[str, str] | None = None) -> dict[str, Any]:
    labels = {"version": upstream.version, **(metadata or {})}
    return {"address": "127.0.0.1", "port": upstream.port, "metadata": labels}


async def version(channel: grpc.aio.Channel, method: str = "Get", **metadata: str) -> str:
    """Return who answered, as its trailers say."""
    call = unary(channel, method)(
        b"a", metadata=tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    )
    assert await call == b"a"
    return str(dict(await call.trailing_metadata())["x-version"])


def unary(channel: grpc.aio.Channel, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(f"/{SERVICE}/{method}")


@pytest.mark.parametrize("role", ["edge", "sidecar"])
@pytest.mark.parametrize("said_by", ["document", "metadata"])
async def test_every_kind_of_call(tmp_path: Path, role: str, said_by: str) -> None:
    rule = document(trafficPolicy={"protocol": "grpc"}) if said_by == "document" else document()
    metadata = {"protocol": "grpc"} if said_by == "metadata" else None
    async with (
        GrpcUpstream("v1") as v1,
        calling(tmp_path, role, rule, v1, metadata=metadata) as (_, channel),
    ):
        assert await version(channel) == "v1"
        listing: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"/{SERVICE}/List")
        assert [answer async for answer in listing(b"n")] == [b"n0", b"n1", b"n2"]
        chatting: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
        chatting = channel.stream_stream(f"/{SERVICE}/Chat")
        chat = chatting()
        for word in (b"one", b"two"):
            await chat.write(word)
            assert await chat.read() == word, "each is answered before the next is sent"
        await chat.done_writing()
        assert await chat.read() is grpc.aio.EOF
        assert await chat.code() is grpc.StatusCode.OK
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await unary(channel, "Fail")(b"")
        assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert failed.value.details() == "out of stock: 木"


async def test_rules_on_methods_and_metadata(tmp_path: Path) -> None:
    rule = document(
        trafficPolicy={"protocol": "grpc"},
        http=[
            {
                "name": "testers",
                "match": [{"uri": {"exact": f"/{SERVICE}/Get"}, "headers": {"x-user": {"exact": "a"}}}],
                "route": [{"subset": "gray"}],
            },
            {
                "name": "ramp",
                "match": [{"headers": {"x-ramp": {"present": True}}}],
                "sticky": {"header": "x-user"},
                "route": [{"subset": "stable", "weight": 50}, {"subset": "gray", "weight": 50}],
            },
        ],
    )
    async with (
        GrpcUpstream("v1") as v1,
        GrpcUpstream("v2") as v2,
        calling(tmp_path, "edge", rule, v1, v2) as (_, channel),
    ):
        assert await version(channel) == "v1"
        assert await version(channel, x_user="a") == "v2"
        chosen = {user: await version(channel, x_ramp="1", x_user=str(user)) for user in range(60)}
        assert set(chosen.values()) == {"v1", "v2"}
        assert {user: await version(channel, x_ramp="1", x_user=str(user)) for user in range(60)} == chosen


async def test_errors_of_the_proxy_are_statuses(tmp_path: Path) -> None:
    async with calling(tmp_path, "edge", document(trafficPolicy={"protocol": "grpc"})) as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError) as unavailable:
            await unary(channel, "Get")(b"")
        assert unavailable.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_instances_change_their_protocol(tmp_path: Path) -> None:
    async with GrpcUpstream("v1") as v1, calling(tmp_path, "edge", document(), v1) as (grayplane, channel):
        with pytest.raises(grpc.aio.AioRpcError):
            await version(channel)
        grayplane.listed("reviews", [listed(v1, {"protocol": "grpc"})])

        async def answered() -> bool:
            try:
                return await version(channel) == "v1"
            except grpc.aio.AioRpcError:
                return False

        await until(answered)


@pytest.mark.parametrize("role", ["edge", "sidecar"])
@pytest.mark.parametrize("said_by", ["document", "metadata"])
async def test_a_browser_calls_by_grpc_web(tmp_path: Path, role: str, said_by: str) -> None:
    rule = document(trafficPolicy={"protocol": "grpc"}) if said_by == "document" else document()
    metadata = {"protocol": "grpc"} if said_by == "metadata" else None
    async with (
        GrpcUpstream("v1") as v1,
        calling(tmp_path, role, rule, v1, metadata=metadata) as (grayplane, _),
    ):
        frame = b"\0\0\0\0\1a"
        port, host = (grayplane.edge_port, HOST) if role == "edge" else (grayplane.outbound_port, "reviews")
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            for kind, encode, decode in (
                ("application/grpc-web+proto", bytes, bytes),
                ("application/grpc-web-text", base64.b64encode, decode_parts),
            ):
                response = await client.post(
                    f"http://127.0.0.1:{port}/{SERVICE}/Get",
                    content=encode(frame),
                    headers={"host": host, "content-type": kind, "accept": kind},
                )
                body = decode(response.content)
                assert response.headers["content-type"].startswith(kind)
                assert body.startswith(frame)
                assert b"grpc-status:0" in body, "trailers are in the body, where a browser can read them"
                assert b"x-version:v1" in body


def decode_parts(text: bytes) -> bytes:
    """Decode base64 that may be padded in the middle, frame by frame."""
    return b"".join(base64.b64decode(text[at : at + 4]) for at in range(0, len(text), 4))
