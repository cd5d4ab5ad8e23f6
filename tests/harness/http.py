"""HTTP as tests need it: requests sent exactly as written, answers that say who gave them."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import h11

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; ``headers`` has the last value of each name, in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Client:
    """One HTTP/1.1 connection, opened anew when the other side closed it.

    Targets and headers go out as they are given: nothing is encoded, normalised or added except ``Host``.
    """

    def __init__(self, port: int, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._where = (address, port)
        self._tls = tls
        self.port = port
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def get(self, host: str, target: str = "/", headers: Headers = ()) -> Response:
        """Send a GET request."""
        return await self.request("GET", host, target, headers)

    async def request(
        self, method: str, host: str, target: str = "/", headers: Headers = (), body: bytes = b""
    ) -> Response:
        """Send one request and read the whole answer."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._where, ssl=self._tls)
            self._connection = h11.Connection(h11.CLIENT)
        length = [("Content-Length", str(len(body)))] if body else []
        fields = [(name.encode(), value.encode()) for name, value in (("Host", host), *headers, *length)]
        request = h11.Request(method=method, target=target, headers=fields)
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._connection.send(event) or b"")
        return await self._response()

    async def _response(self) -> Response:
        status, headers, body = 0, {}, bytearray()
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                self._connection.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise ConnectionError(f"the connection ended within an answer: {event}")
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
        else:
            self._close()
        return Response(status, headers, bytes(body))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Upstream:
    """One instance of a sample service in this process, on 127.0.0.1; port 0 is a free one.

    It answers what the demo's sample service answers: a JSON object with ``service``, ``version``,
    ``instance``, ``path`` (the request target) and ``headers``. ``requests`` counts what it was sent.
    ``status`` is what it answers with, after ``delay`` seconds; while ``unwell`` it answers ``/health``
    with 500.
    """

    def __init__(self, service: str, version: str, port: int = 0) -> None:
        self.service = service
        self.version = version
        self.port = port
        self.status = 200
        self.unwell = False
        self.delay = 0.0
        self.requests = 0
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and break all connections, as a killed process would."""
        self._server.close()
        for writer in tuple(self._connections):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _next_request(connection, reader)) is not None:
                self.requests += 1
                await asyncio.sleep(self.delay)
                for event in await self._answer(request):
                    writer.write(connection.send(event) or b"")
                connection.start_next_cycle()
        except (ConnectionError, h11.ProtocolError):
            pass  # the other side went away, or may not go on
        finally:
            self._connections.discard(writer)
            writer.close()

    async def said(self, request: h11.Request) -> dict[str, Any]:
        """Return what is answered to a request."""
        return {
            "service": self.service,
            "version": self.version,
            "instance": f"127.0.0.1:{self.port}",
            "path": request.target.decode("latin-1"),
            "headers": {name.decode(): value.decode("latin-1") for name, value in request.headers},
        }

    async def _answer(self, request: h11.Request) -> tuple[h11.Event, ...]:
        body = json.dumps(await self.said(request)).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        status = 500 if self.unwell and request.target == b"/health" else self.status
        return h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """Read a request to its end, body included; None when the connection was closed before."""
    request = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif not isinstance(event, h11.Data):
            return None
