"""Serves an ASGI application within the event loop of the whole program."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from xds.http.connections import DEFAULTS, ConnectionLimits, Connections


class _Config(uvicorn.Config):
    """Has settings of TLS handshakes as an object; uvicorn itself knows files, which it reads once."""

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None, limits: ConnectionLimits) -> None:
        super().__init__(
            app,
            http=Connections(limits).protocol,
            ws="none",
            log_config=None,
            log_level="error",  # a warning for every malformed request would fill the log
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whoever reaches the port could say that it is somebody else
            timeout_keep_alive=int(limits.keep_alive),
            timeout_graceful_shutdown=1,
        )
        self._tls = tls

    @property
    def is_ssl(self) -> bool:
        return self._tls is not None

    def load(self) -> None:
        tls, self._tls = self._tls, None  # or it would look for files
        super().load()
        self.ssl = self._tls = tls


class _Server(uvicorn.Server):
    """Leaves signals to the program that it is part of, and waits for TLS handshakes no longer than it must.

    uvicorn leaves the time of a handshake at a minute: enough to use up all file descriptors.
    """

    def __init__(self, config: _Config, handshake: float) -> None:
        super().__init__(config)
        self._handshake = handshake

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        tls = self.config.ssl
        for each in sockets or ():
            server = await asyncio.get_running_loop().create_server(
                self._connection,
                sock=each,
                ssl=tls,
                ssl_handshake_timeout=self._handshake if tls else None,
                backlog=self.config.backlog,
            )
            self.servers.append(server)

    def _connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn does
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


class HttpServer:
    """An HTTP server on one address, with TLS if ``tls`` has its settings. Port 0 takes a free one.

    ``stopping`` is called before it waits for the answers that are under way: those without an end must end.
    """

    def __init__(
        self,
        app: ASGIApp,
        stopping: Callable[[], None] = lambda: None,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits = DEFAULTS,
    ) -> None:
        self._server = _Server(_Config(app, tls, limits), limits.handshake)
        self._stopping = stopping

    def bind(self, address: str, port: int) -> int:
        """Take the address; return the port. Raise ``OSError`` if it cannot be had."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, port), family=family)
        # asyncio sets this only for sockets that name their protocol; without, an answer whose head and body
        # are written one after the other waits 40 ms for a delayed ACK. Connections inherit it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled; then answer what was asked before."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        try:
            await asyncio.shield(serving)
        finally:
            self._stopping()
            self._server.should_exit = True
            await serving

    def close(self) -> None:
        """Give the address back."""
        self._socket.close()
