"""Nacos's HTTP API: a request goes to whichever server answers."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from xds.sources.nacos.errors import NacosError, UnreachableError, os_reason
from xds.sources.nacos.settings import NacosServer, NacosSettings, Tls

CONTEXT_PATH = "/nacos"

_EXCERPT = 2000
"""Bytes of an unexpected answer that are looked at."""

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    server: NacosServer
    status: int
    body: bytes

    async def parsed(self, model: type[ModelT]) -> ModelT:
        """Return the body of a good answer, parsed off the event loop: a page of documents can be long.

        Raise ``NacosError`` for what no Nacos answers.
        """
        if self.status == HTTPStatus.OK:
            with suppress(ValidationError):
                return await asyncio.to_thread(model.model_validate_json, self.body)
        raise NacosError(f"{self.server} does not answer as Nacos does (HTTP {self.status}: {self.excerpt})")

    @property
    def excerpt(self) -> str:
        """What the body says, short and on one line. No timestamps: the same failure gives the same text."""
        text = self.body[:_EXCERPT].decode("utf-8", "replace")
        with suppress(ValueError):
            error = json.loads(text)
            if isinstance(error, dict):
                text = str(error.get("message") or error.get("error") or text)
        return " ".join(text.split())[:200]


class Http:
    """Requests to the servers in turn, from the one that answered last."""

    def __init__(self, settings: NacosSettings, session: aiohttp.ClientSession) -> None:
        self._servers = settings.servers
        # The index of the server that answered last.
        self._first = 0
        self._session = session
        self._scheme = "https" if settings.tls else "http"
        self._ssl = ssl_context(settings.tls) if settings.tls else None
        self._server_name = settings.tls.server_name if settings.tls else None
        self._timeout = aiohttp.ClientTimeout(total=settings.request_timeout)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the first server's answer, whatever its status. Raise ``UnreachableError``."""
        failures = []
        for step in range(len(self._servers)):
            at = (self._first + step) % len(self._servers)
            server = self._servers[at]
            try:
                async with self._session.request(
                    method,
                    f"{self._scheme}://{server}{CONTEXT_PATH}{path}",
                    params=query,
                    data=form,
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                    ssl=self._ssl or True,
                    server_hostname=self._server_name,
                ) as response:
                    self._first = at
                    return Answer(server, response.status, await response.read())
            except TimeoutError:
                failures.append(f"{server} does not answer within {self._timeout.total:g} s")
            except aiohttp.ClientError as error:
                failures.append(f"{server}: {_reason(error)}")
        raise UnreachableError(f"Nacos cannot be reached: {', '.join(failures)}")


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """Return what verifies the server, and shows our certificate if there is one. Raise ``OSError``."""
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.cert and tls.key:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _reason(error: aiohttp.ClientError) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = os_reason(cause) if isinstance(cause, OSError) else str(cause).lower()
    return text or type(error).__name__
