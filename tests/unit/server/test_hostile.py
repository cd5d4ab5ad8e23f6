"""Hostile and broken clients cost themselves: their stream ends with a telling status, others are served."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Self

import grpc
import pytest
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest
from envoy_data_plane.google.protobuf import Struct

from tests.unit.server.clients import (
    ADS_DELTA,
    ADS_SOTW,
    PATIENCE,
    DeltaStream,
    RawStream,
    Running,
    SotwStream,
    running,
)
from xds.cache import Resource
from xds.server.limits import Limits, TimeBudget
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER
from xds.wire import delimited, encode

FIRST = Resource.of(CLUSTER, "a", b"\x0a\x01a")


def pulse(number: int) -> Resource:
    return Resource.of(LISTENER, "pulse", delimited(1, b"pulse") + delimited(28, b"%d" % number))


@asynccontextmanager
async def bystander(it: Running) -> AsyncIterator[None]:
    """Have a good client served one change after the other, beside what the test does and a little longer."""
    over = asyncio.Event()

    async def live(stream: DeltaStream) -> None:
        number = beyond = 0
        while beyond < 20:
            number += 1
            beyond += over.is_set()
            it.view.apply([pulse(number)])
            response = await stream.next()
            assert response.resources[0].version == pulse(number).version
            await stream.ack(response)

    async with DeltaStream(it.port) as stream:
        await stream.ask(LISTENER, "pulse", node=Node(id="good"))
        await stream.ack(await stream.next())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live(stream))
            try:
                yield
            finally:
                over.set()


class Flood:
    """Sends requests as fast as they go; the threaded client, since the other one loses the status."""

    def __init__(self, port: int, requests: Iterable[DeltaDiscoveryRequest]) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(ADS_DELTA)
        self._call = method(encode(request) for request in requests)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()
        await asyncio.to_thread(self._channel.close)

    @property
    def flowing(self) -> bool:
        return bool(self._call.is_active())

    async def status(self) -> grpc.StatusCode:
        """Wait for the stream to end, reading what comes."""
        code: grpc.StatusCode = await asyncio.wait_for(asyncio.to_thread(self._end), PATIENCE)
        return code

    def _end(self) -> grpc.StatusCode:
        with suppress(grpc.RpcError):
            for _ in self._call:
                pass
        return self._call.code()


@pytest.mark.parametrize("method", [ADS_DELTA, ADS_SOTW])
@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"\x0a\x05ab", b"\x12\x02\xff\xfe", b"\x0b\x14"])
async def test_garbage_is_an_invalid_argument(method: str, garbage: bytes) -> None:
    async with running(FIRST) as it, bystander(it), RawStream(it.port, method) as stream:
        await stream.send(garbage)
        code, details = await stream.status()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "malformed request" in details


async def test_garbage_after_a_good_request_ends_the_stream() -> None:
    async with running(FIRST) as it, bystander(it), DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER)
        await stream.next()
        await stream.send(b"\xff" * 100)
        assert (await stream.status())[0] is grpc.StatusCode.INVALID_ARGUMENT
        await it.journal.until_closed(1)


@pytest.mark.parametrize("stream_class", [DeltaStream, SotwStream])
async def test_100000_names_are_more_than_a_stream_may_have(
    stream_class: type[DeltaStream] | type[SotwStream],
) -> None:
    names = [f"name-{number}" for number in range(100_000)]
    async with running(FIRST) as it, bystander(it), stream_class(it.port) as stream:
        await stream.ask(ENDPOINT, *names)
        code, details = await stream.status()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "names" in details


async def test_names_that_add_up_are_more_than_a_stream_may_have() -> None:
    requests = (
        DeltaDiscoveryRequest(
            type_url=ENDPOINT, resource_names_subscribe=[f"{request}-{number}" for number in range(2_000)]
        )
        for request in itertools.count()
    )
    async with running(FIRST) as it, bystander(it), Flood(it.port, requests) as flood:
        assert await flood.status() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_two_million_fields_are_not_decoded() -> None:
    async with running(FIRST) as it, bystander(it), RawStream(it.port, ADS_DELTA) as stream:
        await stream.send(b"\x1a\x00" * 2_000_000)
        assert (await stream.status())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_over_the_limit_is_refused() -> None:
    limits = Limits(message_bytes=10_000)
    async with running(FIRST, limits=limits) as it, bystander(it), RawStream(it.port, ADS_DELTA) as stream:
        await stream.send(delimited(1, b"\x00" * 20_000))
        assert (await stream.status())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_huge_node_metadata_is_refused() -> None:
    metadata = Struct.from_dict({f"key-{number}": "x" * 100 for number in range(5_000)})
    async with running(FIRST) as it, bystander(it), DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER, node=Node(id="huge", metadata=metadata))
        code, details = await stream.status()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "metadata" in details


@pytest.mark.parametrize("what", ["id", "type_url", "name"])
async def test_endless_names_are_refused_and_not_quoted_whole(what: str) -> None:
    endless = "x" * 100_000
    async with running(FIRST) as it, bystander(it), DeltaStream(it.port) as stream:
        if what == "id":
            await stream.ask(CLUSTER, node=Node(id=endless))
        elif what == "type_url":
            await stream.ask(endless)
        else:
            await stream.ask(ENDPOINT, endless)
        code, details = await stream.status()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert len(details) < 2_000


async def test_thousands_of_types_are_more_than_a_stream_may_have() -> None:
    requests = (DeltaDiscoveryRequest(type_url=f"example.com/Type{number}") for number in itertools.count())
    async with running(FIRST) as it, bystander(it), Flood(it.port, requests) as flood:
        assert await flood.status() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_10000_nonces_that_were_never_sent_change_nothing() -> None:
    request = DeltaDiscoveryRequest(type_url=CLUSTER)
    limits = Limits(loop_share=1.0, loop_burst=60.0)
    async with running(FIRST, limits=limits) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER)
        await stream.next()
        for number in range(10_000):
            request.response_nonce = f"nonce-{number}"
            await stream.send(encode(request))
        later = Resource.of(CLUSTER, "a", b"\x0a\x01a\x1a\x00")
        it.view.apply([later])
        assert (await stream.next()).resources[0].version == later.version
        assert it.journal.events == []


async def test_an_endless_flood_of_requests_leaves_time_for_others() -> None:
    requests = itertools.repeat(DeltaDiscoveryRequest(type_url=CLUSTER, resource_names_subscribe=["a"]))
    async with running(FIRST) as it, Flood(it.port, requests) as flood:
        await it.journal.until_opened(1)
        async with bystander(it):
            pass
        assert flood.flowing


async def test_a_client_that_never_reads_loses_its_stream_and_holds_nobody_up() -> None:
    # As large as a few responses that fill every window and buffer on the way.
    big = [Resource.of(CLUSTER, f"big-{number}", b"\x00" * (1 << 20)) for number in range(64)]
    async with running(FIRST, *big, limits=Limits(stall=1.0)) as it, bystander(it):
        options = [("grpc.http2.lookahead_bytes", 1 << 16), ("grpc.http2.bdp_probe", 0)]
        async with RawStream(it.port, ADS_DELTA, options) as stream:
            await stream.send(encode(DeltaDiscoveryRequest(node=Node(id="deaf"), type_url=CLUSTER)))
            await it.journal.until_closed(1)
            with suppress(grpc.aio.AioRpcError):
                while await stream.receive() is not None:
                    pass
            assert (await stream.status())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_one_node_may_not_take_all_streams() -> None:
    async with running(FIRST, limits=Limits(streams_per_node=2)) as it, bystander(it):
        async with DeltaStream(it.port) as one, DeltaStream(it.port) as two, DeltaStream(it.port) as three:
            await one.ask(CLUSTER)
            await one.next()
            await two.ask(CLUSTER)
            await two.next()
            await three.ask(CLUSTER)
            code, details = await three.status()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "'proxy-1' has 2 streams" in details
        await it.journal.until_closed(2)
        async with DeltaStream(it.port) as four:
            await four.ask(CLUSTER)
            await four.next()


async def test_all_nodes_together_may_not_take_more_streams_than_there_are() -> None:
    async with running(FIRST, limits=Limits(streams=2)) as it, bystander(it), DeltaStream(it.port) as one:
        await one.ask(CLUSTER)
        await one.next()
        async with DeltaStream(it.port) as two:
            assert (await two.status())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_failure_of_ours_ends_one_stream_and_tells_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("secret")

    async with running(FIRST) as it, bystander(it):
        monkeypatch.setattr(it.journal, "opened", broken)
        async with DeltaStream(it.port) as stream:
            await stream.ask(CLUSTER)
            code, details = await stream.status()
            assert code is grpc.StatusCode.INTERNAL
            assert "secret" not in details


def test_an_allowance_is_a_burst_and_then_a_share() -> None:
    budget = TimeBudget(share=0.25, burst=1.0, now=0.0)
    assert budget.spend(0.5, now=0.0) == 0
    assert budget.spend(0.5, now=0.0) == 0
    assert budget.spend(0.5, now=0.0) == 2.0  # half a second at a quarter of the time
    assert budget.spend(0.0, now=2.0) == 0
    assert budget.spend(1.0, now=1000.0) == 0, "refilled to the burst, not beyond"
    assert budget.spend(0.25, now=1000.0) == 1.0
