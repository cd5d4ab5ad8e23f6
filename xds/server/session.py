"""Drives one stream: bytes in, protocol, bytes out."""

import asyncio
import dataclasses
from collections.abc import Callable

import grpc
import grpc.aio

from xds.cache import Changes, View
from xds.protocol import Stream
from xds.protocol.variants import Request
from xds.server.observer import Client, Observer
from xds.server.services import Method
from xds.wire import Node, WireError

Context = grpc.aio.ServicerContext[bytes, bytes]


class RequestError(Exception):
    """A request that cannot be served; its text is for the author of the client."""


class Session:
    """One stream of one client, from its first request to its end.

    ``run`` reads in a task of its own, so that a client that stops reading still has its answers heard.
    """

    def __init__(
        self,
        method: Method,
        context: Context,
        view_of: Callable[[Node], View],
        observer: Observer,
        drain: float,
    ) -> None:
        self._method = method
        self._context = context
        self._view_of = view_of
        self._observer = observer
        self._drain = drain
        self._wake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the stream until the client ends it; raise ``RequestError`` where the client is at fault."""
        request = await self._read()
        if request is None:
            return
        node = request.node or Node()
        self._client = Client(node, self._context.peer(), f"{self._method.service}/{self._method.name}")
        self._view = self._view_of(node)
        self._stream = Stream(self._method.variant, self._view, drain=self._drain)
        self._observer.connected(self._client)
        self._view.watch(self)
        try:
            self._receive(request)
            await self._serve()
        finally:
            self._view.unwatch(self)
            if self._alarm:
                self._alarm.cancel()
            self._observer.disconnected(self._client)

    def changed(self, changes: Changes) -> None:
        """Take note that the view changed (``Watcher``)."""
        self._stream.on_change(changes)
        self._wake.set()

    async def _serve(self) -> None:
        reader = asyncio.create_task(self._read_on())
        writer = asyncio.create_task(self._write_on())
        try:
            done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            reader.cancel()
            writer.cancel()

    async def _read_on(self) -> None:
        while (request := await self._read()) is not None:
            self._receive(request)

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            while (response := self._stream.poll(loop.time())) is not None:
                await self._context.write(response)
            self._set_alarm(loop)
            await self._wake.wait()

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm:
            self._alarm.cancel()
        deadline = self._stream.deadline
        self._alarm = None if deadline is None else loop.call_at(deadline, self._wake.set)

    async def _read(self) -> Request | None:
        data = await self._context.read()
        if not isinstance(data, bytes):  # grpc.aio.EOF: the client will ask for nothing more
            return None
        try:
            request = self._method.variant.decode(data)
        except WireError as error:
            raise RequestError(f"malformed request: {error}") from error
        return self._typed(request)

    def _typed(self, request: Request) -> Request:
        expected = self._method.type_url
        if expected is None:
            if not request.type_url:
                raise RequestError("type_url is missing; it is mandatory on an aggregated stream")
            return request
        if request.type_url not in ("", expected):
            raise RequestError(
                f"type_url is {request.type_url!r}; {self._method.service} serves {expected!r}"
            )
        return dataclasses.replace(request, type_url=expected)

    def _receive(self, request: Request) -> None:
        event = self._stream.receive(request)
        if event is not None:
            self._observer.answered(self._client, event)
        self._wake.set()
