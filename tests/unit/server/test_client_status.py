"""Client status discovery over real gRPC: who is connected, and where each stands."""

from typing import Any

import grpc
import grpc.aio
import pytest
from envoy_data_plane.envoy.config.core.v3 import Locality, Node
from envoy_data_plane.envoy.service.status.v3 import (
    ClientConfig,
    ClientStatusRequest,
    ClientStatusResponse,
    ConfigStatus,
)
from envoy_data_plane.envoy.type.matcher.v3 import (
    NodeMatcher,
    RegexMatcher,
    StringMatcher,
    StructMatcher,
    StructMatcherPathSegment,
    ValueMatcher,
)
from envoy_data_plane.google.protobuf import Struct

from tests.unit.server.clients import DeltaStream, RawStream, Running, SotwStream, running
from xds.cache import Ref, Resource
from xds.server.limits import Limits
from xds.type_urls import CLUSTER, ENDPOINT, ROUTE, SECRET
from xds.wire import encode

SERVICE = "/envoy.service.status.v3.ClientStatusDiscoveryService"


async def fetch(it: Running, *matchers: NodeMatcher, **fields: Any) -> list[ClientConfig]:
    """Ask once, as ``grpcdebug`` and ``grpcurl`` do."""
    request = encode(ClientStatusRequest(node_matchers=list(matchers), **fields))
    async with grpc.aio.insecure_channel(it.target) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        method = channel.unary_unary(f"{SERVICE}/FetchClientStatus")
        return ClientStatusResponse.parse(await method(request)).config


def standing(config: ClientConfig) -> dict[str, ConfigStatus]:
    return {each.name: each.config_status for each in config.generic_xds_configs}


def cluster(name: str, content: str = "1") -> Resource:
    return Resource.of(CLUSTER, name, f"{name} {content}".encode())


@pytest.mark.parametrize("stream_class", [DeltaStream, SotwStream])
async def test_41_a_resource_is_stale_until_it_is_acknowledged_then_synced(
    stream_class: type[DeltaStream] | type[SotwStream],
) -> None:
    async with running(cluster("a")) as it, stream_class(it.port) as stream:
        await stream.ask(CLUSTER)
        response = await stream.next()
        [config] = await fetch(it)
        assert standing(config) == {"a": ConfigStatus.STALE}
        await stream.ask(CLUSTER, node=None, response_nonce=response.nonce)
        await it.journal.until_answered(1)
        [config] = await fetch(it)
        assert standing(config) == {"a": ConfigStatus.SYNCED}
        [resource] = config.generic_xds_configs
        assert resource.type_url == CLUSTER
        assert resource.version_info == cluster("a").version
        assert resource.xds_config is not None
        assert resource.xds_config.type_url == CLUSTER
        assert resource.xds_config.value == cluster("a").body


async def test_41_a_rejected_resource_is_an_error_with_the_rejected_config() -> None:
    async with running(cluster("a"), cluster("b")) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER)
        await stream.ack(await stream.next())
        it.view.apply([cluster("a", "bad")])
        await stream.nack(await stream.next(), "no such thing")
        await it.journal.until_answered(2)
        [config] = await fetch(it)
        assert standing(config) == {"a": ConfigStatus.ERROR, "b": ConfigStatus.SYNCED}
        resource = next(each for each in config.generic_xds_configs if each.name == "a")
        assert resource.error_state is not None
        assert resource.error_state.details == "no such thing"
        assert resource.error_state.version_info == cluster("a", "bad").version
        assert resource.xds_config is not None
        assert resource.xds_config.value == b"a bad"

        it.view.apply([cluster("a", "good")])
        await stream.ack(await stream.next())
        await it.journal.until_answered(3)
        [config] = await fetch(it)
        assert standing(config) == {"a": ConfigStatus.SYNCED, "b": ConfigStatus.SYNCED}
        assert all(each.error_state is None for each in config.generic_xds_configs)


async def test_41_what_is_held_back_or_not_there_is_not_sent() -> None:
    route = Resource.of(ROUTE, "routes", b"r", requires=frozenset({Ref(CLUSTER, "a")}))
    async with running(cluster("a"), route) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER)
        await stream.next()
        await stream.ask(ROUTE, "routes", "missing", node=None)
        await stream.next()  # "missing" is answered; "routes" waits for the cluster's ACK
        [config] = await fetch(it)
        assert standing(config) == {
            "a": ConfigStatus.STALE,
            "routes": ConfigStatus.NOT_SENT,
            "missing": ConfigStatus.NOT_SENT,
        }


async def test_41_all_streams_of_all_nodes_are_listed_with_their_node() -> None:
    node = Node(
        id="one",
        cluster="edge",
        metadata=Struct.from_dict({"role": "edge", "ports": [1, 2], "deep": {"er": None}}),
        locality=Locality(region="r", zone="z"),
        user_agent_name="envoy",
    )
    async with running(cluster("a")) as it, DeltaStream(it.port) as one, SotwStream(it.port) as two:
        await one.ask(CLUSTER, node=node)
        await one.next()
        await two.ask(ENDPOINT, "x", node=Node(id="two"))
        await it.journal.until_opened(2)
        first, second = await fetch(it)
        assert first.node == node
        assert first.client_scope.endswith("/DeltaAggregatedResources")
        assert second.node is not None
        assert second.node.id == "two"
        await one.done_writing()
        await it.journal.until_closed(1)
        assert len(await fetch(it)) == 1


IDS = ["edge-1", "edge-2", "sidecar-1"]


def by_id(**how: Any) -> NodeMatcher:
    return NodeMatcher(node_id=StringMatcher(**how))


def by_role(value: ValueMatcher) -> NodeMatcher:
    path = [StructMatcherPathSegment(key="a"), StructMatcherPathSegment(key="role")]
    return NodeMatcher(node_metadatas=[StructMatcher(path=path, value=value)])


@pytest.mark.parametrize(
    ("matchers", "chosen"),
    [
        ([], IDS),
        ([by_id(exact="edge-1")], ["edge-1"]),
        ([by_id(exact="nobody")], []),
        ([by_id(exact="EDGE-2", ignore_case=True)], ["edge-2"]),
        ([by_id(prefix="edge")], ["edge-1", "edge-2"]),
        ([by_id(suffix="-1")], ["edge-1", "sidecar-1"]),
        ([by_id(contains="car")], ["sidecar-1"]),
        ([by_id(safe_regex=RegexMatcher(regex="e.*2"))], ["edge-2"]),
        ([by_id(exact="edge-1"), by_id(exact="sidecar-1")], ["edge-1", "sidecar-1"]),
        ([by_role(ValueMatcher(string_match=StringMatcher(exact="edge")))], ["edge-1", "edge-2"]),
        ([by_role(ValueMatcher(present_match=True))], IDS),
        ([by_role(ValueMatcher(bool_match=True))], []),
    ],
)
async def test_41_nodes_are_chosen_by_matchers(matchers: list[NodeMatcher], chosen: list[str]) -> None:
    async with running(cluster("a")) as it:
        streams = [DeltaStream(it.port) for _ in IDS]
        for stream, name in zip(streams, IDS, strict=True):
            metadata = Struct.from_dict({"a": {"role": name.partition("-")[0]}})
            await stream.ask(CLUSTER, node=Node(id=name, metadata=metadata))
            await stream.next()
        assert [config.node.id for config in await fetch(it, *matchers) if config.node] == chosen
        for stream in streams:
            await stream.__aexit__()


async def test_matchers_that_are_not_supported_are_refused_by_name() -> None:
    async with running() as it:
        for matcher in (
            by_role(ValueMatcher()),
            by_id(),
            by_id(safe_regex=RegexMatcher(regex="(")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await fetch(it, matcher)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "node_matchers" in (caught.value.details() or "")


async def test_41_a_stream_of_questions_is_answered_one_by_one() -> None:
    async with running(cluster("a")) as it, DeltaStream(it.port) as client:
        await client.ask(CLUSTER)
        await client.next()
        async with RawStream(it.port, f"{SERVICE}/StreamClientStatus") as stream:
            for _ in range(3):
                await stream.send(encode(ClientStatusRequest()))
                data = await stream.receive()
                assert data is not None
                assert len(ClientStatusResponse.parse(data).config) == 1


async def test_contents_are_left_out_on_request_and_secrets_always() -> None:
    secret = Resource.of(SECRET, "key", b"private")
    async with running(cluster("a"), secret) as it, DeltaStream(it.port) as stream:
        await stream.ask(CLUSTER)
        await stream.next()
        [config] = await fetch(it, exclude_resource_contents=True)
        assert [each.xds_config for each in config.generic_xds_configs] == [None]
        await stream.ask(SECRET, "key", node=None)
        await stream.next()
        [config] = await fetch(it)
        contents = {each.name: each.xds_config for each in config.generic_xds_configs}
        assert contents["a"] is not None
        assert contents["key"] is None


async def test_an_answer_beyond_all_bounds_is_refused_with_what_to_do() -> None:
    limits = Limits(status_bytes=1_000)
    async with (
        running(*(cluster(f"c{number}") for number in range(100)), limits=limits) as it,
        DeltaStream(it.port) as stream,
    ):
        await stream.ask(CLUSTER)
        await stream.next()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await fetch(it)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "node_matchers" in (caught.value.details() or "")
