"""HTTP connections that cost little, however slow their clients are and however many.

uvicorn alone waits for ever for the rest of a request, and for a client that does not read its answer. Its
parser in C (httptools) takes a third of the time of the one in Python, and knows no limits.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What connections may take; times in seconds."""

    connections: int = 512
    """Open at once. One more closes the one that has waited longest for a request or the rest of one."""
    handshake: float = 10.0
    """From a connection to the end of its TLS handshake."""
    receive: float = 30.0
    """From the first byte of a request, or from the connection, to the last of its body."""
    send: float = 60.0
    """That a client may leave an answer unread."""
    keep_alive: float = 20.0
    """Between two requests."""
    header_bytes: int = 32 << 10
    """Of the head of a request."""
    body_bytes: int = 12 << 20
    """Of the body of a request."""
    bodies_bytes: int = 64 << 20
    """Of the bodies of all requests that are under way."""


DEFAULTS = ConnectionLimits()


class Connections:
    """The open connections of one server. ``protocol`` makes one, as uvicorn's setting ``http`` wants it."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        # Written by ``opened`` and ``closed``.
        self._open: set[_Connection] = set()
        # Those that have no whole request: the longest first.
        self._receiving: dict[_Connection, None] = {}
        connections = self

        class Protocol(_Connection):
            def __init__(self, *arguments: Any, **more: Any) -> None:
                super().__init__(connections, *arguments, **more)

        self.protocol: type[HttpToolsProtocol] = Protocol

    def opened(self, connection: "_Connection") -> None:
        """Add a connection, and close another one if there are too many."""
        if len(self._open) >= self.limits.connections:
            longest = next(iter(self._receiving), None)
            (longest or connection).abort()
        self._open.add(connection)

    def closed(self, connection: "_Connection") -> None:
        """Remove a connection."""
        self._open.discard(connection)
        self._receiving.pop(connection, None)

    def receiving(self, connection: "_Connection", *, now: bool) -> None:
        """Note whether a connection waits for a request, or the rest of one."""
        if now:
            self._receiving.setdefault(connection)
        else:
            self._receiving.pop(connection, None)


class _Connection(HttpToolsProtocol):
    """One connection. A request that comes too slowly, or an answer that nobody reads, ends it."""

    def __init__(self, connections: Connections, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._connections = connections
        # Bytes read of a head that is not complete; None within a body. Written by ``data_received`` and the
        # callbacks of the parser, as is ``_whole``.
        self._head: int | None = 0
        # Whether the last request that began has been received to its end.
        self._whole = False
        # In PEM; empty without one. Set when the connection is made.
        self._client_certificate = ""
        # Ends the connection unless a request is complete by then. Set while one is being received.
        self._receive_timer: asyncio.TimerHandle | None = None
        # The same for an answer. Set while the client does not read it.
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls and (certificate := tls.getpeercert(binary_form=True)):
            self._client_certificate = ssl.DER_cert_to_PEM_cert(certificate)
        self._receive()
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.closed(self)
        self._received()
        self._sent()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        limit = self._connections.limits.header_bytes
        if self._head is not None and self._head > limit:
            self.send_400_response(f"a request line and its headers have at most {limit} bytes")
        elif self._whole:
            self._received()
        else:
            self._receive()

    def on_message_begin(self) -> None:
        self._whole = False
        super().on_message_begin()
        if self._client_certificate:
            tls = {"client_cert_chain": [self._client_certificate]}
            self.scope["extensions"] = {"tls": tls}  # type: ignore[dict-item]  # of the TLS extension

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head, self._whole = 0, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._whole:
            self._received()
            if not self.transport.is_closing():
                self._connections.receiving(self, now=True)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_timer = self.loop.call_later(self._connections.limits.send, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._sent()

    def abort(self) -> None:
        """Close the connection, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def _receive(self) -> None:
        self._connections.receiving(self, now=True)
        if self._receive_timer is None:
            self._receive_timer = self.loop.call_later(self._connections.limits.receive, self.abort)

    def _received(self) -> None:
        self._connections.receiving(self, now=False)
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None

    def _sent(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
