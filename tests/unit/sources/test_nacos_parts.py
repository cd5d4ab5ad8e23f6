"""The parts of the Nacos source that need no server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from xds.sources.base import Event, Trouble
from xds.sources.health import SourceHealth
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, UnreachableError
from xds.sources.nacos.http import Http
from xds.sources.nacos.listing import Listing
from xds.sources.nacos.read_queue import ReadQueue
from xds.sources.nacos.settings import NacosServer, NacosSettings


def test_addresses() -> None:
    settings = NacosSettings(server_addresses="a.example:8848, 10.0.0.1:80,[::1]:8848")
    assert settings.servers == (
        NacosServer("a.example", 8848),
        NacosServer("10.0.0.1", 80),
        NacosServer("[::1]", 8848),
    )
    assert [server.grpc_port for server in settings.servers] == [9848, 1080, 9848]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "'' is not host:port"),
        ("a.example", "'a.example' is not host:port, such as 127.0.0.1:8848"),
        ("http://a.example:8848", "'http://a.example:8848' is not host:port"),
        ("a.example:8848/nacos", "is not host:port"),
        ("::1:8848", "is not host:port"),
        ("a:8848,,b:8848", "'' is not host:port"),
        ("a:0", "between 1 and 64535"),
        ("a:65000", "since gRPC is served 1000 above it"),
    ],
)
def test_addresses_that_can_never_work(address: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"Nacos server address") as refused:
        NacosSettings(server_addresses=address)
    assert told in str(refused.value)


def test_half_of_the_credentials() -> None:
    with pytest.raises(ValueError, match="username and password go together"):
        NacosSettings(server_addresses="a:1", username="reader")
    with pytest.raises(ValueError, match="access_key and secret_key go together"):
        NacosSettings(server_addresses="a:1", secret_key="s")


def test_secrets_are_not_shown() -> None:
    settings = NacosSettings(
        server_addresses="a:1", username="u", password="p4ss", access_key="k", secret_key="s3c"
    )
    assert "p4ss" not in repr(settings)
    assert "s3c" not in repr(settings)


def test_the_public_namespace_has_two_spellings() -> None:
    for namespace in ("", "public"):
        settings = NacosSettings(server_addresses="a:1", namespace=namespace)
        assert (settings.config_tenant, settings.naming_namespace) == ("", "public")
    other = NacosSettings(server_addresses="a:1", namespace="dev")
    assert (other.config_tenant, other.naming_namespace) == ("dev", "dev")


def test_troubles_are_told_as_one() -> None:
    events: list[Event] = []
    health = SourceHealth(events.append)
    health.report("b", "two")
    health.report("a", "one")
    health.report("a", "one")
    health.report("c", "one")
    health.report("b", None)
    health.report_all({"a": None, "c": None})
    assert events == [Trouble("two"), Trouble("one; two"), Trouble("one"), Trouble(None)]


def test_of_many_troubles_some_are_named() -> None:
    events: list[Event] = []
    SourceHealth(events.append).report_all({f"{number:02}": f"r{number}" for number in range(12)})
    assert events == [Trouble("r0; r1; r2; r3; r4; r5; r6; r7; r8; r9; and 2 more")]


async def test_a_key_marked_during_its_read_is_read_once_more() -> None:
    reading = asyncio.Event()
    answer = asyncio.Event()
    seen: list[str] = []

    async def read(key: str) -> None:
        seen.append(key)
        reading.set()
        await answer.wait()

    reads = ReadQueue(read)
    async with asyncio.TaskGroup() as tasks:
        with reads.within(tasks):
            reads.mark("a")
            await reading.wait()
            for _ in range(3):
                reads.mark("a")
            answer.set()
            await reads.read(["a"])
            assert seen == ["a", "a"]
            await reads.read(["b", "a"])
            assert sorted(seen) == ["a", "a", "a", "b"]


GOOD_V1 = {"pageItems": [{"dataId": "a.yaml", "group": "GRAY_GROUP", "md5": "1"}], "pagesAvailable": 1}
GOOD_V3 = {
    "code": 0,
    "data": {
        "pageItems": [
            {"dataId": "a.yaml", "groupName": "GRAY_GROUP", "md5": "3"},
            {"dataId": "b.yaml", "groupName": "GRAYXGROUP", "md5": "3"},
        ],
        "pagesAvailable": 1,
    },
}


Reply = tuple[int, object]
"""Status, and a body as text or for JSON."""


@asynccontextmanager
async def listing(**replies: Reply) -> AsyncIterator[Listing]:
    """A listing from a server that has these replies for the two versions of the API."""
    app = web.Application()
    paths = {"v3": "/nacos/v3/admin/cs/config/list", "v1": "/nacos/v1/cs/configs"}
    for version, reply in replies.items():
        app.router.add_get(paths[version], partial(replying, reply))
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        # The first server is down: the second is asked.
        settings = NacosSettings(server_addresses=f"127.0.0.1:1,127.0.0.1:{server.port}")
        http = Http(settings, session)
        yield Listing(settings, http, Credentials(settings, http))


async def replying(reply: Reply, request: web.Request) -> web.Response:
    status, body = reply
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers={"Location": "/elsewhere"})
    return web.json_response(body, status=status)


async def test_the_listing_of_nacos_3() -> None:
    async with listing(v3=(200, GOOD_V3)) as documents:
        assert await documents.documents() == {"a.yaml": "3"}


@pytest.mark.parametrize("status", [404, 410, 501])
async def test_the_listing_of_nacos_2(status: int) -> None:
    async with listing(v3=(status, "gone"), v1=(200, GOOD_V1)) as documents:
        assert await documents.documents() == {"a.yaml": "1"}


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        (
            {},
            "has no list of configurations (HTTP 404: 404: Not Found); is it the main port of a Nacos server",
        ),
        (
            {"v3": (200, "<html>hello\n</html>")},
            "does not answer as Nacos does (HTTP 200: <html>hello </html>)",
        ),
        ({"v3": (200, {"data": {"pageItems": [1], "pagesAvailable": 1}})}, "does not answer as Nacos does"),
        ({"v3": (200, {"data": None})}, "does not answer as Nacos does"),
        ({"v3": (500, {"code": 500, "message": "database down"})}, "as Nacos does (HTTP 500: database down)"),
        ({"v3": (302, "moved")}, "does not answer as Nacos does (HTTP 302: moved)"),
    ],
)
async def test_an_answer_that_is_no_listing(replies: dict[str, Reply], told: str) -> None:
    async with listing(**replies) as documents:
        with pytest.raises(NacosError) as refused:
            await documents.documents()
        assert told in str(refused.value)


async def test_no_server_answers() -> None:
    settings = NacosSettings(server_addresses="127.0.0.1:1,no-such-host.invalid:8848")
    async with aiohttp.ClientSession() as session:
        http = Http(settings, session)
        with pytest.raises(UnreachableError) as refused:
            await Listing(settings, http, Credentials(settings, http)).documents()
    told = str(refused.value)
    assert told.startswith("Nacos cannot be reached: 127.0.0.1:1: connection refused, ")
    assert "no-such-host.invalid:8848" in told


def test_an_outage_is_one_topic_however_many_calls_fail() -> None:
    events: list[Event] = []
    health = SourceHealth(events.append)
    health.report("connection", "no answer within 3 s", away=True)
    health.report("list", "connection refused", away=True)
    health.report("b.yaml", "cannot be read")
    health.report("connection", None)
    health.report("list", "not allowed")
    assert [event.topics for event in events if isinstance(event, Trouble)] == [
        {"outage"},
        {"outage"},
        {"outage", "cannot be read"},
        {"outage", "cannot be read"},
        {"not allowed", "cannot be read"},
    ]
