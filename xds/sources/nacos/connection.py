"""A lasting connection to Nacos: it is opened again whenever it is lost, and adds our credentials."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, RefusedError, UnreachableError
from xds.sources.nacos.http import Http
from xds.sources.nacos.sdk import (
    NO_RIGHT,
    UN_REGISTER,
    ConfigPublishRequest,
    ConfigRemoveRequest,
    InstanceRequest,
    Request,
    Response,
)
from xds.sources.nacos.settings import NacosServer, NacosSettings
from xds.sources.nacos.transport import Module, Transport

CONFIG_NOT_FOUND = 300
"""The error code of a query for a document that does not exist (Nacos's ConfigQueryResponse)."""

_FIRST_RETRY = 0.1
_LONGEST_RETRY = 1.0
"""Seconds between attempts to connect, doubling."""


class AnswerError(NacosError):
    """Nacos answered with an error code."""

    def __init__(self, server: NacosServer, code: int, message: str) -> None:
        super().__init__(f"{server} answers {code}: {message}")
        self.code = code


class Connection:
    """One connection for as long as ``run`` runs, opened again whenever it is lost.

    ``pushed`` gets what the server sends by itself and returns the reply. ``opened`` is called whenever a
    connection was made: the server knows nothing of what was asked of an earlier one. ``report`` is told
    why there is none, and None when there is.
    """

    def __init__(
        self,
        settings: NacosSettings,
        credentials: Credentials,
        module: Module,
        *,
        pushed: Callable[[Request], Response | None],
        opened: Callable[[], None],
        report: Callable[[str | None], None],
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._module = module
        self._pushed = pushed
        self._opened = opened
        self._report = report
        # The open transport; None while there is none. Written by ``run``.
        self._transport: Transport | None = None
        # Why there is no connection, and why each server tried since the last one could not be reached.
        self._failure = f"Nacos {', '.join(map(str, settings.servers))} has not answered yet"
        self._failures: dict[NacosServer, str] = {}
        # Set while there is a connection.
        self._is_open = asyncio.Event()

    async def run(self) -> None:
        """Connect and stay connected until cancelled."""
        retry = _FIRST_RETRY
        turn = random.randrange(len(self._settings.servers))  # noqa: S311  # to spread clients, not to hide
        while True:
            server = self._settings.servers[turn % len(self._settings.servers)]
            turn += 1
            transport = Transport(self._settings, server, self._module, self._pushed)
            try:
                await transport.open()
            except UnreachableError as error:
                self._unreachable(server, str(error))
                await asyncio.sleep(retry)
                retry = min(retry * 2, _LONGEST_RETRY)
                continue
            try:
                retry = _FIRST_RETRY
                self._failures.clear()
                self._transport = transport
                self._is_open.set()
                self._report(None)
                self._opened()
                await transport.until_lost()
                # Not reported yet: the next attempt often succeeds at once.
                self._failure = f"the connection to Nacos {server} was lost"
            finally:
                self._transport = None
                self._is_open.clear()
                await transport.close()

    def _unreachable(self, server: NacosServer, reason: str) -> None:
        """Tell when no server is left to try, and the same of all of them every time."""
        self._failures[server] = reason
        if len(self._failures) == len(self._settings.servers):
            self._failure = "; ".join(self._failures[each] for each in self._settings.servers)
            self._report(self._failure)

    async def ready(self, within: float) -> None:
        """Wait to be connected. Raise ``UnreachableError`` after that many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._is_open.wait()
        except TimeoutError:
            raise UnreachableError(self._failure) from None

    @property
    def server(self) -> NacosServer | None:
        """The server that is connected; None while there is none."""
        return self._transport.server if self._transport else None

    async def config(self, request: Request, group: str | None = None) -> Any:
        """Return the answer to a request about a group of configurations, by default that of the rules.

        Raise ``NacosError``.
        """
        group = self._settings.rules_group if group is None else group
        is_write = isinstance(request, ConfigPublishRequest | ConfigRemoveRequest)
        what = f"documents of group {group}"
        headers = await self._credentials.for_config(group)
        return await self._request(request, headers, f"write {what}" if is_write else f"read {what}")

    async def naming(self, request: Request, service: str = "") -> Any:
        """Return the answer to a request about a service. Raise ``NacosError``."""
        what = f"services of group {self._settings.naming_group}"
        headers = await self._credentials.for_naming(service)
        is_write = isinstance(request, InstanceRequest)
        return await self._request(request, headers, f"register {what}" if is_write else f"read {what}")

    async def _request(self, request: Request, headers: dict[str, str], what: str) -> Any:
        transport = self._transport
        if transport is None:
            raise UnreachableError(self._failure)
        request.put_all_headers(headers)
        response = await transport.call(request)
        if response.get_result_code() == 200:
            return response
        code, message = response.get_error_code(), response.get_message()
        if code == UN_REGISTER:
            transport.lost.set()
            raise UnreachableError(f"{transport.server} has forgotten the connection")
        if code == NO_RIGHT:
            self._credentials.refused()
            raise RefusedError(self._refusal(transport.server, what, message))
        raise AnswerError(transport.server, code, message)

    def _refusal(self, server: NacosServer, what: str, message: str) -> str:
        settings = self._settings
        return (
            f"{server} does not let {settings.user!r} {what} in namespace {settings.namespace or 'public'!r} "
            f"({message}); check nacos.username, nacos.password and what that user may do"
        )


@asynccontextmanager
async def connected(
    settings: NacosSettings,
    module: Module,
    *,
    opened: Callable[[], None] = lambda: None,
    report: Callable[[str | None], None] = lambda reason: None,
) -> AsyncIterator[Connection]:
    """Provide a connection of its own for a while, for who only asks and is pushed nothing."""
    async with aiohttp.ClientSession() as session:
        credentials = Credentials(settings, Http(settings, session))
        connection = Connection(
            settings, credentials, module, pushed=lambda request: None, opened=opened, report=report
        )
        running = asyncio.create_task(connection.run())
        try:
            yield connection
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
