"""OFREP as OpenFeature's own SDK for Python speaks it, over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails
from starlette.applications import Starlette

from tests.harness import PATIENCE
from xds.http import HttpServer
from xds.http.access import Access, Role, Token, new_token
from xds.http.events import Events, Topic
from xds.http.ofrep import Flags, FlagSource, InvalidContextError, ofrep_routes, read_context
from xds.routing import Routing, Surroundings, routing_of
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument
from xds.rules.parse import parse

_REGION = "x-region"
_RULES = """
subsets:
  stable: {labels: {version: v1}}
  gray: {labels: {version: v2}}
baseline: stable
http:
  - name: testers
    match:
      - headers: {x-release: {exact: canary}}
      - cookies: {release: {exact: canary}}
      - query: {gray: {exact: "1"}}
      - uri: {prefix: /beta}
        method: {exact: POST}
    route: [{subset: gray}]
  - name: ramp
    sticky: {header: x-user-id}
    route: [{subset: stable, weight: 70}, {subset: gray, weight: 30}]
"""


class _World:
    """Rule documents by service, and a count of their changes."""

    def __init__(self, **documents: str) -> None:
        self.rules = {ServiceId("", name): _rule(name, text) for name, text in documents.items()}
        self.changes = 0

    def source(self) -> FlagSource:
        return FlagSource(
            services=lambda: self.rules,
            routing=self._routing,
            revision=lambda service: f"r{self.changes}",
            enabled=lambda service: self.rules[service].enabled,
            version=lambda: str(self.changes),
            region_header=_REGION,
        )

    def edit(self, name: str, text: str) -> None:
        self.rules[ServiceId("", name)] = _rule(name, text)
        self.changes += 1

    def _routing(self, service: ServiceId) -> Routing:
        return routing_of(service.name, self.rules[service], datetime.now(UTC), Surroundings())


def _rule(name: str, text: str) -> RuleDocument:
    rule = parse(f"{name}.yaml", text.encode()).rule
    assert rule is not None
    return rule


@asynccontextmanager
async def _served(world: _World, access: Access, events: Events) -> AsyncIterator[str]:
    routes = ofrep_routes(Flags(world.source()), _REGION, access, events)
    server = HttpServer(Starlette(routes=routes))
    port = server.bind("127.0.0.1", 0)
    serving = asyncio.create_task(server.run())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        events.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        server.close()


@pytest.fixture
def world() -> _World:
    return _World(reviews=_RULES, ratings=_RULES.replace("testers", "insiders"))


@pytest.fixture
async def url(world: _World) -> AsyncIterator[str]:
    async with _served(world, Access([], loopback=True), Events()) as at:
        yield at


@pytest.fixture
def provider(url: str) -> Iterator[OFREPProvider]:
    provider = OFREPProvider(base_url=url)
    api.set_provider(provider)
    yield provider
    api.shutdown()


async def _string(key: str, user: str | None = None, **context: Any) -> FlagEvaluationDetails[str]:
    client = api.get_client()
    return await asyncio.to_thread(
        client.get_string_details, key, "the default", EvaluationContext(user, dict(context))
    )


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("context", "variant"),
    [
        ({"headers": {"X-Release": "canary"}}, "gray"),
        ({"headers.x-release": "canary"}, "gray"),
        ({"cookies": {"release": "canary"}}, "gray"),
        ({"query": {"gray": "1"}}, "gray"),
        ({"uri": "/beta/x?gray=0", "method": "POST"}, "gray"),
    ],
)
async def test_the_context_describes_a_request(context: dict[str, Any], variant: str) -> None:
    found = await _string("reviews", None, **context)
    assert (found.value, found.variant, found.reason) == (variant, variant, "TARGETING_MATCH")
    assert found.flag_metadata["rule"] == "testers"


@pytest.mark.usefixtures("provider")
async def test_a_targeting_key_is_the_user_that_rules_hash() -> None:
    by_key = [await _string("reviews", f"user-{number}") for number in range(60)]
    by_header = [await _string("reviews", None, headers={"x-user-id": f"user-{n}"}) for n in range(60)]
    assert [each.value for each in by_key] == [each.value for each in by_header]
    assert {each.value for each in by_key} == {"stable", "gray"}
    assert {each.reason for each in by_key} == {"SPLIT"}
    assert all(0 <= each.flag_metadata["bucket"] < 1_000_000 for each in by_key)  # type: ignore[operator]


@pytest.mark.usefixtures("provider")
async def test_a_rule_is_a_boolean_flag() -> None:
    client = api.get_client()
    canary = EvaluationContext(None, {"headers": {"x-release": "canary"}})
    assert await asyncio.to_thread(client.get_boolean_value, "reviews/testers", False, canary)
    assert not await asyncio.to_thread(client.get_boolean_value, "reviews/ramp", True, canary)


@pytest.mark.usefixtures("provider")
async def test_an_unknown_flag_is_the_default() -> None:
    for key in ("nobody", "reviews/nothing"):
        found = await _string(key)
        assert (found.value, found.error_code) == ("the default", "FLAG_NOT_FOUND")


@pytest.mark.usefixtures("provider")
async def test_a_wrong_context_is_named() -> None:
    found = await _string("reviews", None, sourceIp="not an address")
    assert found.value == "the default"
    assert found.error_code == "INVALID_CONTEXT"
    assert "not an IP address" in (found.error_message or "")


@pytest.mark.usefixtures("provider")
async def test_disabled_rules_say_so(world: _World) -> None:
    world.edit("reviews", "enabled: false\n" + _RULES)
    found = await _string("reviews", None, headers={"x-release": "canary"})
    assert (found.value, found.reason) == ("stable", "DISABLED")


async def test_a_whole_answer_is_cached_until_something_changes(world: _World, url: str) -> None:
    body = {"context": {"targetingKey": "user-1"}}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        first = await client.post("/ofrep/v1/evaluate/flags", json=body)
        keys = [flag["key"] for flag in first.json()["flags"]]
        assert keys == [
            "ratings",
            "ratings/insiders",
            "ratings/ramp",
            "reviews",
            "reviews/testers",
            "reviews/ramp",
        ]
        tag = {"if-none-match": first.headers["etag"]}
        assert (await client.post("/ofrep/v1/evaluate/flags", json=body, headers=tag)).status_code == 304
        other = {"context": {"targetingKey": "user-2"}}
        assert (await client.post("/ofrep/v1/evaluate/flags", json=other, headers=tag)).status_code == 200
        world.edit("reviews", _RULES.replace("weight: 30", "weight: 60"))
        assert (await client.post("/ofrep/v1/evaluate/flags", json=body, headers=tag)).status_code == 200


async def test_a_change_is_told_to_those_who_follow(world: _World) -> None:
    events = Events()
    async with (
        _served(world, Access([], loopback=True), events) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client,
    ):
        [stream] = (await client.post("/ofrep/v1/evaluate/flags", json={})).json()["eventStreams"]
        at = stream["endpoint"]["origin"] + stream["endpoint"]["requestUri"]
        async with client.stream("GET", at) as following:
            lines = following.aiter_lines()
            assert (await anext(lines)).startswith("id: ")
            events.tell(Topic.PROXIES)
            events.tell(Topic.SERVICES, "reviews")
            async for line in lines:
                if line.startswith("data:"):
                    assert json.loads(line.removeprefix("data:")) == {"type": "refetchEvaluation"}
                    break


async def test_a_token_is_asked_for(world: _World) -> None:
    text, sha256 = new_token()
    access = Access([Token("app", Role.VIEWER, sha256)], loopback=False)
    async with _served(world, access, Events()) as url:
        path = f"{url}/ofrep/v1/evaluate/flags/reviews"
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            assert (await client.post(path, json={})).status_code == 401
            for headers in ({"authorization": f"Bearer {text}"}, {"x-api-key": text}):
                assert (await client.post(path, json={}, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b"[]", "the body is"),
        (b'{"context": []}', "the body is"),
        (b'{"context": {"headers": []}}', "context.headers"),
        (b'{"context": {"headers": {"x-a": {}}}}', "context.headers.x-a"),
        (b'{"context": {"headers": {"x-a": "a\\r\\nx-b: 1"}}}', "control character"),
        (b'{"context": {"uri": "beta"}}', "context.uri"),
        (b'{"context": {"sourceIp": "10.0.0.300"}}', "context.sourceIp"),
    ],
)
def test_what_is_no_context_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(InvalidContextError, match=says):
        read_context(body, _REGION)


def test_counts_of_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds.http.ofrep.flags._MOST_COUNTED", 2)
    flags = Flags(_World(**{f"s{number}": "{}" for number in range(9)}).source())
    context = read_context(b'{"context": {}}', _REGION)
    for number in (*range(9), 0):
        flags.evaluate("", f"s{number}", context)
    assert sorted(flags.exposure.values()) == [1, 2, 7]
    assert flags.exposure["other", "other"] == 7


def test_what_was_answered_is_counted(world: _World) -> None:
    flags = Flags(world.source(), chance=lambda: 0.0)
    context = read_context(b'{"context": {"headers": {"x-release": "canary"}}}', _REGION)
    for _ in range(3):
        flags.evaluate("", "reviews", context)
    assert flags.exposure["reviews", "gray"] == 3
