"""Webhooks and Prometheus over real HTTP."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.unit.rollout.plans import NOW, plan
from xds.rollout import outside
from xds.rollout.machine import Call, PlanRead, advance
from xds.rollout.outside import SIGNATURE, Outside
from xds.rules.instance import ServiceId
from xds.rules.model.rollout import Webhook

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(path: str, handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def ask(
    statuses: list[int], secret: str | None = None
) -> tuple[outside.Answer, list[tuple[Any, bytes]]]:
    """Ask a webhook that answers these in turn; return its answer and what it got."""
    got: list[tuple[Any, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        got.append((request.headers, await request.read()))
        return web.Response(status=statuses[len(got) - 1], text="said so")

    state, _ = advance(None, PlanRead(plan()), NOW)
    asker = Outside(secret=secret)
    async with serving("/smoke", handler) as url:
        hook = Webhook.model_validate({"name": "smoke", "url": f"{url}/smoke", "when": "before-step"})
        try:
            return await asker.ask(ServiceId("", "reviews"), state, Call(hook, 7)), got
        finally:
            await asker.close()


async def test_a_webhook_gets_a_signed_body() -> None:
    answer, [(headers, body)] = await ask([204], secret="s3cret")
    assert answer.agrees
    signature = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"sha256={signature}"
    said = json.loads(body)
    assert said["id"] == "reviews/2.4.1/1/7/smoke"
    assert (said["service"], said["when"], said["step"], said["of"]) == ("reviews", "before-step", 1, 3)


@pytest.mark.parametrize(
    ("statuses", "agrees", "asked"),
    [([200], True, 1), ([403], False, 1), ([302], False, 1), ([503, 200], True, 2), ([500] * 3, False, 3)],
)
async def test_what_a_webhook_answers(
    statuses: list[int], agrees: bool, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "_PAUSE", 0.01)
    answer, got = await ask(statuses)
    assert answer.agrees is agrees
    assert str(statuses[asked - 1]) in answer.says
    assert len(got) == asked
    assert all(SIGNATURE not in headers for headers, _ in got)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ({"status": "success", "data": {"resultType": "vector", "result": [{"value": [0, "0.25"]}]}}, 0.25),
        ({"status": "success", "data": {"resultType": "scalar", "result": [0, "3"]}}, 3.0),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, None),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"value": [0, "1"]}] * 2}}, None),
        ({"status": "error", "error": "parse error"}, None),
        ([], None),
        ({"status": "success", "data": {"resultType": "vector", "result": [{}]}}, None),
    ],
)
async def test_a_query_has_one_value_or_is_missing(answer: Any, value: float | None) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.query["query"] == "up"
        return web.json_response(answer)

    async with serving("/api/v1/query", handler) as url:
        asker = Outside(prometheus=url)
        assert await asker.query("up") == value
        await asker.close()


async def test_without_prometheus_every_query_is_missing() -> None:
    assert await Outside().query("up") is None
