"""Calls webhooks, signed, and Prometheus."""

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp

from xds.rollout.machine import Call
from xds.rollout.plan import hook_timeout
from xds.rollout.state import State
from xds.rules.instance import ServiceId

_TRIES = 3
_PAUSE = 1.0  # seconds before the second try, twice that before the third
_SHOWN = 200
_QUERY_TIMEOUT = 5.0
SIGNATURE = "x-grayplane-signature"
"""The header with ``sha256=`` and the HMAC of the body, in hexadecimal."""


class Answer(NamedTuple):
    """What a webhook says: whether it agrees, and its words."""

    agrees: bool
    says: str


class Outside:
    """Asks webhooks and Prometheus over HTTP.

    A webhook gets a POST with JSON. 2xx agrees. It is asked again, at most twice, when it does not answer or
    answers 5xx: ``id`` in the body is that of the call, to tell a repeated one. Redirects are not followed.
    ``secret`` signs the body; without it there is no signature.
    """

    def __init__(self, prometheus: str | None = None, secret: str | None = None) -> None:
        self._prometheus = prometheus
        self._secret = secret
        # The open connections; None before the first call. Written by ``_open`` and ``close``.
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def ask(self, service: ServiceId, state: State, call: Call) -> Answer:
        """Call a webhook. It raises nothing."""
        body = json.dumps(_body(service, state, call)).encode()
        headers = {"content-type": "application/json"}
        if self._secret:
            signature = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
            headers[SIGNATURE] = f"sha256={signature}"
        answer = Answer(agrees=False, says="was not asked")
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(_PAUSE * 2 ** (number - 1))
            answer, final = await self._post(call, body, headers)
            if final:
                break
        return answer

    async def _post(self, call: Call, body: bytes, headers: dict[str, str]) -> tuple[Answer, bool]:
        timeout = aiohttp.ClientTimeout(total=hook_timeout(call.hook).total_seconds())
        try:
            async with self._open().post(
                call.hook.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                text = (await response.content.read(_SHOWN)).decode(errors="replace").strip()
                says = f"{response.status} {text}".strip()
                return Answer(agrees=response.status // 100 == 2, says=says), response.status < 500
        except TimeoutError:
            return Answer(agrees=False, says="no answer in time"), False
        except (aiohttp.ClientError, OSError) as error:
            return Answer(agrees=False, says=str(error) or type(error).__name__), False

    async def query(self, query: str) -> float | None:
        """Return the one value of a PromQL query; None if there is none, or not one, or no answer."""
        if self._prometheus is None:
            return None
        url = f"{self._prometheus.rstrip('/')}/api/v1/query"
        timeout = aiohttp.ClientTimeout(total=_QUERY_TIMEOUT)
        try:
            async with self._open().get(url, params={"query": query}, timeout=timeout) as response:
                return _value(await response.json())
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


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
