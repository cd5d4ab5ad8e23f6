"""Streams over real gRPC: who they are from, what type they carry, how they begin and end."""

import asyncio
import itertools

import grpc
import pytest
from envoy_data_plane.envoy.config.core.v3 import Node

from tests.unit.server.clients import ADS_DELTA, NODE, DeltaStream, RawStream, SotwStream, running
from xds.cache import Ref, Resource, View
from xds.protocol import Acked, Change, Rejected
from xds.server import XdsServer
from xds.server.limits import Limits
from xds.server.services import methods
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, VIRTUAL_HOST
from xds.wire import Status
from xds.wire.splice import prefixed

A = Resource.of(CLUSTER, "a", b"\x0a\x01a")
A_LATER = Resource.of(CLUSTER, "a", b"\x0a\x01a\x1a\x00")
B = Resource.of(CLUSTER, "b", b"\x0a\x01b")


async def test_01_the_node_of_the_first_request_is_that_of_the_stream() -> None:
    async with running(A) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER, node=Node(id="one", cluster="edge"))
        await stream.ack(await stream.next())
        await stream.ask(LISTENER, node=Node(id="another"))
        await it.journal.until_answered(1)
        assert [client.node.id for client in it.journal.streams] == ["one"]
        assert it.journal.streams[0].node.cluster == "edge"


async def test_01_a_stream_without_a_node_is_served() -> None:
    async with running(A) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER, node=None)
        assert (await stream.next()).resources[0].name == "a"
        assert it.journal.streams[0].node.id == ""


@pytest.mark.parametrize("stream_class", [DeltaStream, SotwStream])
async def test_02_an_aggregated_stream_needs_the_type(
    stream_class: type[DeltaStream] | type[SotwStream],
) -> None:
    async with running(A) as it, stream_class(it.port) as stream:
        await stream.ask("")
        code, details = await stream.status()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "type_url is missing" in details


@pytest.mark.parametrize(
    ("service", "name", "type_url"),
    [(method.service, method.name, method.type_url) for method in methods() if method.type_url],
)
async def test_02_a_service_of_one_type_infers_it(service: str, name: str, type_url: str) -> None:
    resource = Resource.of(type_url, "it", b"")
    stream_class = DeltaStream if name.startswith("Delta") else SotwStream
    async with running(resource) as it, stream_class(it.port, f"/{service}/{name}") as stream:
        await stream.ask("", "it")
        response = await stream.next()
        assert response.type_url == type_url
        assert len(response.resources) == 1


async def test_02_a_service_of_one_type_refuses_another() -> None:
    method = "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"
    async with running(A) as it, DeltaStream(it.port, method) as stream:
        await stream.ask(LISTENER)
        code, details = await stream.status()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert LISTENER in details
        assert CLUSTER in details


def test_29_virtual_hosts_are_discovered_incrementally_only() -> None:
    assert [m.name for m in methods() if m.type_url == VIRTUAL_HOST] == ["DeltaVirtualHosts"]


async def test_35_streams_of_all_kinds_from_one_node_are_served_alike() -> None:
    eds = "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints"
    async with (
        running(A, Resource.of(ENDPOINT, "a", b"\x0a\x01a")) as it,
        DeltaStream(it.port) as delta,
        DeltaStream(it.port) as second,
        SotwStream(it.port) as sotw,
        SotwStream(it.port, eds) as endpoints,
    ):
        await delta.ask(CLUSTER)
        await second.ask(CLUSTER)
        await sotw.ask(CLUSTER)
        await endpoints.ask("", "a")
        for first in (await delta.next(), await second.next(), await sotw.next(), await endpoints.next()):
            assert len(first.resources) == 1
        it.view.apply([A_LATER])
        assert (await delta.next()).resources[0].version == A_LATER.version
        assert (await second.next()).resources[0].version == A_LATER.version
        assert (await sotw.next()).resources[0].value == A_LATER.body
        await delta.done_writing()
        assert await delta.receive() is None
        it.view.apply(drop=[Ref(CLUSTER, "a")])
        assert (await second.next()).removed_resources == ["a"]


async def test_37_every_subscription_is_answered_even_if_nothing_is_there() -> None:
    # Envoy waits 15 s for an answer. Each of these must be answered, or `next` gives up.
    async with running() as it, DeltaStream(it.port) as delta, SotwStream(it.port) as sotw:
        await delta.ask(CLUSTER)
        assert (await delta.next()).type_url == CLUSTER
        await delta.ask(ENDPOINT, "missing")
        assert (await delta.next()).removed_resources == ["missing"]
        await sotw.ask(CLUSTER)
        assert (await sotw.next()).resources == []


async def test_a_view_may_be_awaited() -> None:
    view = View()
    view.apply([A])

    async def view_of(node: object, peer: object) -> View:
        await asyncio.sleep(0)
        return view

    server = XdsServer(view_of)
    port = await server.start("127.0.0.1", 0)
    server.open()
    try:
        async with DeltaStream(port) as stream:
            await stream.ask(CLUSTER)
            assert [each.name for each in (await stream.next()).resources] == ["a"]
    finally:
        await server.stop(grace=0)


async def test_nothing_is_answered_before_the_server_is_open() -> None:
    async with running(opened=False) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER)
        it.view.apply([A])
        it.server.open()
        assert [resource.name for resource in (await stream.next()).resources] == ["a"]


async def test_a_client_that_half_closes_gets_what_it_asked_for_and_a_clean_end() -> None:
    async with running(A, B) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER)
        await stream.done_writing()
        assert len((await stream.next()).resources) == 2
        assert await stream.receive() is None
        assert await stream.status() == (grpc.StatusCode.OK, "")
        await it.journal.until_closed(1)


async def test_a_client_that_half_closes_at_once_gets_a_clean_end() -> None:
    async with running(A) as it, DeltaStream(it.port) as stream:
        await stream.done_writing()
        assert (await stream.status())[0] is grpc.StatusCode.OK


async def test_a_client_that_cancels_is_let_go_of() -> None:
    async with running(A) as it:
        async with DeltaStream(it.port) as stream:
            await stream.ask(CLUSTER)
            await stream.next()
        await it.journal.until_closed(1)
        assert it.journal.closed_streams == it.journal.streams
        assert not it.view.watched


async def test_a_client_that_says_nothing_loses_its_stream() -> None:
    limits = Limits(first_request=0.05)
    async with running(A, limits=limits) as it, RawStream(it.port, ADS_DELTA) as stream:
        code, details = await stream.status()
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "no request" in details


async def test_a_server_that_stops_ends_streams_cleanly() -> None:
    async with running(A) as it, DeltaStream(it.port) as stream, SotwStream(it.port) as other:
        await stream.ask(CLUSTER)
        await other.ask(CLUSTER)
        await stream.next()
        await other.next()
        async with asyncio.timeout(30):
            await it.server.stop(grace=20)
        assert await stream.status() == (grpc.StatusCode.OK, "")
        assert await other.status() == (grpc.StatusCode.OK, "")
        assert len(it.journal.closed_streams) == 2


async def test_a_stream_of_an_old_connection_ends_cleanly_and_comes_back_on_another_one() -> None:
    async with running(A, limits=Limits(connection_age=1.0)) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER, "a")
        await stream.ack(await stream.next())
        assert await stream.receive() is None
        assert (await stream.status())[0] is grpc.StatusCode.OK
        stream.open()
        await stream.ask(CLUSTER, "a", initial_resource_versions={"a": A.version})
        await it.journal.until_opened(2)
        first, second = it.journal.streams
        assert first.peer.address != second.peer.address


async def test_acknowledgements_and_rejections_reach_the_observer() -> None:
    async with running(A) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER, node=NODE)
        await stream.ack(await stream.next())
        it.view.apply([A_LATER])
        await stream.nack(await stream.next(), "bad cluster")
        await it.journal.until_answered(2)
        acked, rejected = it.journal.events
        assert acked == Acked(CLUSTER, {"a": Change(held=None, sent=A)})
        assert rejected == Rejected(CLUSTER, {"a": Change(held=A, sent=A_LATER)}, Status(3, "bad cluster"))


async def test_changes_in_every_turn_of_the_loop_hold_up_nobody() -> None:
    async with running(A) as it, DeltaStream(it.port) as stream:

        async def change_without_end() -> None:
            for number in itertools.count():
                it.view.apply([Resource.of(CLUSTER, "a", b"\x0a\x01a\x42" + prefixed(b"%d" % number))])
                await asyncio.sleep(0)

        await stream.ask(CLUSTER)
        changing = asyncio.create_task(change_without_end())
        try:
            for _ in range(10):
                await stream.ack(await stream.next())
        finally:
            changing.cancel()
        [last] = it.view.resources(CLUSTER).values()
        body = b""
        while body != last.body:
            response = await stream.next()
            await stream.ack(response)
            assert response.resources[0].resource
            assert response.resources[0].resource.value != body
            body = response.resources[0].resource.value
