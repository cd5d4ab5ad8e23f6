"""REST-JSON discovery: polled with a version, answered in protobuf's JSON mapping, 304 when unchanged."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from google.protobuf import json_format

from tests.unit.server.clients import Journal
from xds import type_urls
from xds.cache import Ref, Resource, View
from xds.compiler.clusters import subset_cluster
from xds.compiler.connection_managers import HttpSettings
from xds.compiler.listeners import SidecarListeners, inbound_listener
from xds.server.limits import DEFAULTS, Limits
from xds.server.rest import discovery_app
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from xds.wire import encode
from xds.wire.descriptors import message_class, new_pool

NODE = {"id": "proxy-1", "cluster": "edge", "metadata": {"role": "edge"}, "extensions": [{"name": "x"}]}


class Rest:
    """The application with one view, and a client of it."""

    def __init__(self, limits: Limits = DEFAULTS) -> None:
        self.view = View()
        self.journal = Journal()
        self.serving = True
        self.app = discovery_app(self._view_of, self.journal, serving=lambda: self.serving, limits=limits)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://grayplane")

    async def _view_of(self, *_: object) -> View:
        return self.view

    async def ask(self, noun: str, *names: str, version: str = "", **fields: Any) -> httpx.Response:
        body = {"node": NODE, "resource_names": names, "version_info": version, **fields}
        return await self.client.post(f"/v3/discovery:{noun}", json=body)


@asynccontextmanager
async def rest(*resources: Resource, limits: Limits = DEFAULTS) -> AsyncIterator[Rest]:
    it = Rest(limits)
    it.view.apply(resources)
    async with it.app.router.lifespan_context(it.app), it.client:
        yield it


def cluster(name: str, seconds: int = 1) -> Resource:
    return Resource.of(CLUSTER, name, encode(Cluster(name=name, connect_timeout=timedelta(seconds=seconds))))


def assignment(name: str) -> Resource:
    return Resource.of(ENDPOINT, name, encode(ClusterLoadAssignment(cluster_name=name)))


def names_in(response: httpx.Response) -> set[str]:
    assert response.status_code == 200, response.text
    return {each.get("name", each.get("cluster_name")) for each in response.json()["resources"]}


async def test_36_a_poll_is_answered_with_everything_in_json() -> None:
    async with rest(cluster("a", 1), cluster("b", 2)) as it:
        response = await it.ask("clusters")
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        assert answer["type_url"] == CLUSTER
        assert answer["resources"] == [
            {"@type": CLUSTER, "name": "a", "connect_timeout": "1s"},
            {"@type": CLUSTER, "name": "b", "connect_timeout": "2s"},
        ]


async def test_36_an_unchanged_version_is_304_and_a_changed_one_is_not() -> None:
    async with rest(cluster("a")) as it:
        version = (await it.ask("clusters")).json()["version_info"]
        unchanged = await it.ask("clusters", version=version)
        assert unchanged.status_code == 304
        assert unchanged.content == b""
        it.view.apply([cluster("b")])
        changed = await it.ask("clusters", version=version)
        assert names_in(changed) == {"a", "b"}
        it.view.apply(drop=[Ref(CLUSTER, "b")])
        assert (await it.ask("clusters", version=version)).status_code == 304, "the version is the content's"


async def test_36_only_what_is_named_is_answered_and_counts() -> None:
    async with rest(assignment("a"), assignment("b"), assignment("c")) as it:
        some = await it.ask("endpoints", "a", "b", "missing")
        assert names_in(some) == {"a", "b"}
        version = some.json()["version_info"]
        it.view.apply(drop=[Ref(ENDPOINT, "c")])
        assert (await it.ask("endpoints", "a", "b", "missing", version=version)).status_code == 304
        it.view.apply([assignment("missing")])
        appeared = await it.ask("endpoints", "a", "b", "missing", version=version)
        assert names_in(appeared) == {"a", "b", "missing"}
        assert names_in(await it.ask("endpoints")) == set(), "endpoints are fetched by name only"


async def test_36_nested_messages_are_written_as_json_too() -> None:
    at = SidecarListeners("127.0.0.1", 15001, 15006, http=HttpSettings(access_log="/dev/stdout"))
    body = inbound_listener("inbound", at)
    async with rest(
        Resource.of(LISTENER, "inbound", body), Resource.of(CLUSTER, "a", subset_cluster("a"))
    ) as it:
        listener, *_ = (await it.ask("listeners")).json()["resources"]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        assert manager["@type"].endswith(".HttpConnectionManager")
        assert manager["http_filters"][-1]["typed_config"]["@type"].endswith(".Router")
        [cluster] = (await it.ask("clusters")).json()["resources"]
        assert cluster["eds_cluster_config"]["eds_config"] == {"ads": {}, "resource_api_version": "V3"}
        pool = new_pool()
        for document in (listener, cluster):
            # What a client reads of it, written again, is the same: nothing was lost on the way.
            message = message_class(document.pop("@type").rpartition("/")[2], pool)
            read = json_format.ParseDict(document, message(), descriptor_pool=pool)
            again = message.FromString(read.SerializeToString())
            written = json_format.MessageToDict(again, preserving_proto_field_name=True, descriptor_pool=pool)
            assert written == document


@pytest.mark.parametrize(
    ("noun", "type_url"),
    [
        ("clusters", type_urls.CLUSTER),
        ("endpoints", type_urls.ENDPOINT),
        ("listeners", type_urls.LISTENER),
        ("routes", type_urls.ROUTE),
        ("scoped-routes", type_urls.SCOPED_ROUTE),
        ("runtime", type_urls.RUNTIME),
        ("extension_configs", type_urls.EXTENSION),
    ],
)
async def test_36_every_type_has_its_path(noun: str, type_url: str) -> None:
    async with rest(Resource.of(type_url, "it", b"")) as it:
        assert (await it.ask(noun, "it")).json()["resources"] == [{"@type": type_url}]


async def test_36_there_is_no_delta() -> None:
    async with rest() as it:
        assert (await it.ask("virtual-hosts")).status_code == 404
        assert (await it.client.get("/v3/discovery:clusters")).status_code == 405


async def test_field_names_are_read_as_envoy_writes_them_and_in_camel_case() -> None:
    async with rest(assignment("a"), assignment("b")) as it:
        body = {"node": {"id": "x", "clientFeatures": ["f"]}, "resourceNames": ["b"], "typeUrl": ENDPOINT}
        response = await it.client.post("/v3/discovery:endpoints", json=body)
        assert names_in(response) == {"b"}
        assert it.journal.streams[0].node.client_features == ("f",)


async def test_a_client_that_polls_is_one_connected_client() -> None:
    async with rest(cluster("a")) as it:
        await it.ask("clusters")
        await it.ask("endpoints")
        assert [client.node.id for client in it.journal.streams] == ["proxy-1"]
        assert it.journal.streams[0].node.metadata == {"role": "edge"}
        assert it.view.watched
    assert it.journal.closed_streams == it.journal.streams, "closing the application lets go of all"
    assert not it.view.watched


async def test_a_client_that_polls_no_more_is_let_go_of() -> None:
    async with rest(cluster("a"), limits=Limits(poll=0.05)) as it:
        await it.ask("clusters")
        await it.journal.until_closed(1)
        assert not it.view.watched
        await it.ask("clusters")
        assert len(it.journal.streams) == 2


async def test_nothing_is_answered_before_the_server_is_open() -> None:
    async with rest(cluster("a")) as it:
        it.serving = False
        response = await it.ask("clusters")
        assert response.status_code == 503
        assert it.journal.streams == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\xff", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"resource_names": "a"}', "resource_names must be an array"),
        (b'{"resource_names": [1]}', "resource_names must be strings"),
        (b'{"node": {"metadata": []}}', "metadata must be an object"),
        (b'{"type_url": "other"}', "'other'"),
    ],
)
async def test_a_wrong_request_is_400_and_says_why(body: bytes, says: str) -> None:
    async with rest(cluster("a")) as it:
        response = await it.client.post("/v3/discovery:clusters", content=body)
        assert response.status_code == 400
        assert says in response.json()["error"]


async def test_limits_hold_for_those_who_poll() -> None:
    limits = Limits(message_bytes=10_000, metadata_bytes=1_000, names=10, streams=1)
    async with rest(cluster("a"), limits=limits) as it:
        huge = await it.ask("clusters", padding="x" * 10_000)
        many = await it.ask("clusters", *map(str, range(11)))
        rich = await it.ask("clusters", node={"metadata": {"x": "x" * 1_000}})
        assert [each.status_code for each in (huge, many, rich)] == [429, 429, 429]
        assert it.journal.streams == []
        assert (await it.ask("clusters")).status_code == 200
        assert (await it.ask("clusters", node={"id": "another"})).status_code == 429


async def test_a_resource_that_is_not_what_its_type_says_is_an_error_of_ours() -> None:
    async with rest(Resource.of(ROUTE, "broken", b"\xff")) as it:
        response = await it.ask("routes", "broken")
        assert response.status_code == 500
        assert "'broken'" in json.loads(response.content)["error"]
