"""Webhooks and Prometheus over real HTTP."""

import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ThreadedResolver, web
from aiohttp.abc import ResolveResult

from tests.unit.rollout.plans import NOW, plan
from xds.rollout import outside
from xds.rollout.machine import Call, PlanRead, advance
from xds.rollout.outside import SIGNATURE, Outside
from xds.rules.instance import ServiceId
from xds.rules.model.rollout import Webhook
from xds.rules.webhook_hosts import WebhookHosts

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
) -> tuple[outside.WebhookAnswer, list[tuple[Any, bytes]]]:
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


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have any name stand for these addresses, one after the other at each question; then the last."""
    left = list(addresses)

    async def resolve(
        _: object, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = left.pop(0) if left[1:] else left[0]
        found = {"hostname": host, "host": address, "port": port, "family": socket.AF_INET}
        return [ResolveResult(**found, proto=0, flags=0)]  # type: ignore[typeddict-item]  # a dict of these

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)


async def ask_at(url: str, **options: Any) -> outside.WebhookAnswer:
    state, _ = advance(None, PlanRead(plan()), NOW)
    asker = Outside(**options)
    hook = Webhook.model_validate({"name": "smoke", "url": url})
    try:
        return await asker.ask(ServiceId("", "reviews"), state, Call(hook, 7))
    finally:
        await asker.close()


async def agree(_: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize(
    ("host", "hosts", "says"),
    [
        ("169.254.169.254", ("*",), "169.254.169.254 may not be called: clouds have credentials there"),
        ("evil.example.com", ("ci.example.com",), "evil.example.com may not be called"),
        ("127.0.0.1", ("*",), "it is Grayplane's own API"),
        ("0.0.0.0", ("*",), "it is Grayplane's own API"),
        ("2130706433", ("*",), "is not a canonical IPv4 address"),
    ],
)
async def test_what_may_not_be_called_is_not(
    host: str, hosts: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "_PAUSE", 0.01)
    async with serving("/", agree) as url:
        port = int(url.rpartition(":")[2])
        answer = await ask_at(f"http://{host}:{port}/", hosts=WebhookHosts(hosts), own_port=port)
    assert not answer.agrees
    assert says in answer.says


async def test_a_name_is_looked_up_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name was good when the document was read, and at the last call."""
    monkeypatch.setattr(outside, "_PAUSE", 0.01)
    async with serving("/", agree) as url:
        named = url.replace("127.0.0.1", "rebound.example.com")
        port = int(url.rpartition(":")[2])
        resolving(monkeypatch, "127.0.0.1")
        assert (await ask_at(named)).agrees
        assert "it is Grayplane's own API" in (await ask_at(named, own_port=port)).says
        resolving(monkeypatch, "169.254.169.254")
        answer = await ask_at(named)
        assert not answer.agrees
        assert "clouds have credentials there" in answer.says
        listed = WebhookHosts(("rebound.example.com",))
        assert not (await ask_at(named, hosts=listed)).agrees


async def test_a_redirect_is_not_followed() -> None:
    followed = False

    async def away(request: web.Request) -> web.Response:
        nonlocal followed
        followed |= request.path != "/smoke"
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with serving("/{any:.*}", away) as url:
        answer = await ask_at(f"{url}/smoke")
    assert not answer.agrees
    assert not followed
