"""Calls webhooks, signed, and Prometheus."""

import asyncio
import errno
import hashlib
import hmac
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from xds.rollout.machine import Call
from xds.rollout.plan import hook_timeout
from xds.rollout.state import State
from xds.rules.instance import ServiceId
from xds.rules.webhook_hosts import WebhookHosts, is_this_machine

_ANY_HOST = WebhookHosts()
_TRIES = 3
_PAUSE = 1.0  # seconds before the second try, twice that before the third
_SHOWN = 200
_QUERY_TIMEOUT = 5.0
SIGNATURE = "x-grayplane-signature"
"""The header with ``sha256=`` and the HMAC of the body, in hexadecimal."""


class WebhookAnswer(NamedTuple):
    """What a webhook says: whether it agrees, and its words."""

    agrees: bool
    says: str


class _Resolver(AbstractResolver):
    """Finds addresses of hosts, and leaves out those that may not be called.

    What it returns is connected to: a name that has another address by then has none of these.
    """

    def __init__(self, problem_of: Callable[[str, int], str | None]) -> None:
        self._problem_of = problem_of
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        problems = [self._problem_of(each["host"], port) for each in found]
        if allowed := [each for each, problem in zip(found, problems, strict=True) if problem is None]:
            return allowed
        raise OSError(errno.EACCES, next(filter(None, problems), "it has no address"))

    async def close(self) -> None:
        await self._resolver.close()


class Outside:
    """Asks webhooks and Prometheus over HTTP.

    A webhook gets a POST with JSON. 2xx agrees. It is asked again, at most twice, when it does not answer or
    answers 5xx: ``id`` in the body is that of the call, to tell a repeated one. Redirects are not followed.
    ``secret`` signs the body; without it there is no signature. ``hosts`` are those that may be called, when
    it is called: the setting, or what a name stands for, may be another one than when the document was read.
    ``own_port`` is that of the HTTP API, which trusts callers of this machine.
    """

    def __init__(
        self,
        prometheus: str | None = None,
        secret: str | None = None,
        hosts: WebhookHosts = _ANY_HOST,
        own_port: int = 0,
    ) -> None:
        self._prometheus = prometheus
        self._secret = secret
        self._hosts = hosts
        self._own_port = own_port
        # The open connections for webhooks, and for Prometheus; None before the first call. Written by
        # ``_hook_session``, ``_query_session`` and ``close``.
        self._hooks: aiohttp.ClientSession | None = None
        self._queries: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        for session in (self._hooks, self._queries):
            if session:
                await session.close()
        self._hooks = self._queries = None

    async def ask(self, service: ServiceId, state: State, call: Call) -> WebhookAnswer:
        """Call a webhook. It raises nothing."""
        body = json.dumps(_body(service, state, call)).encode()
        headers = {"content-type": "application/json"}
        if self._secret:
            signature = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
            headers[SIGNATURE] = f"sha256={signature}"
        answer = WebhookAnswer(agrees=False, says="was not asked")
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(_PAUSE * 2 ** (number - 1))
            answer, final = await self._post(call, body, headers)
            if final:
                break
        return answer

    async def _post(self, call: Call, body: bytes, headers: dict[str, str]) -> tuple[WebhookAnswer, bool]:
        timeout = aiohttp.ClientTimeout(total=hook_timeout(call.hook).total_seconds())
        if problem := self._problem_of_url(call.hook.url):
            return WebhookAnswer(agrees=False, says=f"{problem} ({self._hosts.hint})"), True
        try:
            async with self._hook_session().post(
                call.hook.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                text = (await response.content.read(_SHOWN)).decode(errors="replace").strip()
                says = f"{response.status} {text}".strip()
                return WebhookAnswer(agrees=response.status // 100 == 2, says=says), response.status < 500
        except TimeoutError:
            return WebhookAnswer(agrees=False, says="no answer in time"), False
        except (aiohttp.ClientError, OSError) as error:
            return WebhookAnswer(agrees=False, says=str(error) or type(error).__name__), False

    async def query(self, query: str) -> float | None:
        """Return the one value of a PromQL query; None if there is none, or not one, or no answer."""
        if self._prometheus is None:
            return None
        url = f"{self._prometheus.rstrip('/')}/api/v1/query"
        timeout = aiohttp.ClientTimeout(total=_QUERY_TIMEOUT)
        try:
            async with self._query_session().get(url, params={"query": query}, timeout=timeout) as response:
                return _value(await response.json())
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None

    def _problem_of_url(self, url: str) -> str | None:
        try:
            parsed = yarl.URL(url)  # as the client reads it
            host, port = parsed.raw_host or "", parsed.port or 0
        except ValueError as error:
            return str(error)
        # The resolver is not asked for an address.
        return self._hosts.problem_of_host(host) or self._problem_of_address(host, port)

    def _problem_of_address(self, address: str, port: int) -> str | None:
        if port == self._own_port and is_this_machine(address):
            return f"{address}:{port} may not be called: it is Grayplane's own API"
        return self._hosts.problem_of_address(address)

    def _hook_session(self) -> aiohttp.ClientSession:
        if self._hooks is None:
            resolver = _Resolver(self._problem_of_address)
            self._hooks = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver))
        return self._hooks

    def _query_session(self) -> aiohttp.ClientSession:
        if self._queries is None:
            self._queries = aiohttp.ClientSession()
        return self._queries


def _body(service: ServiceId, state: State, call: Call) -> dict[str, Any]:
    return {
        "id": f"{service}/{state.plan.revision}/{state.attempt}/{call.serial}/{call.hook.name}",
        "when": call.hook.when,
        "namespace": service.namespace,
        "service": service.name,
        "rule": state.plan.rule,
        "subset": state.plan.subset,
        "revision": state.plan.revision,
        "step": state.step + 1,
        "of": len(state.plan.steps),
        "weight": state.weight,
        "next": state.plan.steps[state.step].weight,
        "why": state.why,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _value(answer: Any) -> float | None:
    """Read an instant vector of one element, or a scalar; None for anything else."""
    match answer:
        case {"status": "success", "data": {"resultType": "scalar", "result": [_, str(number)]}}:
            return float(number)
        case {"status": "success", "data": {"resultType": "vector", "result": [{"value": [_, str(number)]}]}}:
            return float(number)
    return None
