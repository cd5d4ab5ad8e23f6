"""A real HTTP server with the API and the dashboard on a made-up backend."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Self

from starlette.applications import Starlette

from tests.harness.api_backend import SampleBackend
from xds.composition.oidc import OidcParts
from xds.http import HttpServer, Readiness, ServedFrom, http_app
from xds.http.access import Access, Token
from xds.http.api import Api, api_app
from xds.http.audit import Audit
from xds.http.events import Events, Topic


class Site:
    """A server for a test, in a thread of its own. ``url`` ends with a slash."""

    def __init__(
        self,
        backend: SampleBackend,
        tokens: tuple[Token, ...] = (),
        *,
        port: int = 0,
        oidc: OidcParts | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.backend = backend
        self._events = Events()
        self._oidc = oidc
        access = Access(tokens, loopback=True, accounts=oidc.accounts if oidc else None)
        self.audit = Audit(lambda: datetime.now(UTC))
        api = api_app(Api(backend, access, self.audit, self._events), "1")
        login = oidc.routes if oidc else ()
        app = http_app(lambda: Readiness(ServedFrom.SOURCE), Starlette(), api=api, login=login)
        self._server = HttpServer(app, self._events.close, tls=tls)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.bind('127.0.0.1', port)}/"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def tell(self, topic: Topic) -> None:
        """Tell the pages that something changed."""
        self._loop.call_soon_threadsafe(self._events.tell, topic)

    @contextmanager
    def running(self) -> Iterator[Self]:
        self._thread.start()
        try:
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop as the program does; once or more often."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._serving.cancel)
            self._thread.join()
            self._server.close()

    def _run(self) -> None:
        self._serving = self._loop.create_task(self._run_all())
        try:
            self._loop.run_until_complete(asyncio.gather(self._serving, return_exceptions=True))
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _run_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.run())
            if self._oidc:
                tasks.create_task(self._oidc.run())
