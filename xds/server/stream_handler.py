"""Drives one stream: bytes in, protocol, bytes out."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import grpc.aio

from xds.cache import Changes, View
from xds.protocol import LimitExceededError, Stream
from xds.protocol.variants import Request
from xds.server.coalescer import ChangeCoalescers
from xds.server.decoder import RequestDecoder
from xds.server.errors import StreamError, exhausted
from xds.server.limits import HANDLING, Limits, TimeBudget
from xds.server.observer import Observer, Peer, StreamInfo
from xds.server.open_streams import OpenStreams
from xds.wire import DeltaRequest, Node

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ServerState:
    """What all streams of one server share."""

    view_of: Callable[[Node, Peer], View]
    observer: Observer
    drain: float
    limits: Limits
    open_streams: OpenStreams
    coalescers: ChangeCoalescers


class _FinishedError(Exception):
    """The stream ends in good order."""


class StreamHandler:
    """One stream of one client, from its first request to its end.

    One task reads and another writes, so that a client that stops reading still has its answers heard.
    What the client sends is read no faster than its ``TimeBudget`` lets it; the rest stays with the client
    (HTTP/2 flow control). What it is sent is merged in the ``Stream``: one response at a time leaves here.
    """

    __slots__ = (
        "_alarm",
        "_coalescer",
        "_context",
        "_decoder",
        "_ending",
        "_in_step",
        "_method",
        "_reading",
        "_server",
        "_stalled",
        "_told",
        "_waited",
        "_wake",
        "_watchdog",
        "_writer",
        "_writing",
        "_written",
        "info",
        "stream",
        "view",
    )

    def __init__(self, decoder: RequestDecoder, context: Context, server: ServerState) -> None:
        self._decoder = decoder
        self._method = decoder.method
        self._context = context
        self._server = server
        self._wake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._waited = False
        self._reading = False
        self._writing = False
        self._written = 0
        self._stalled = False
        self._ending = False
        # The generation of the view that the protocol was told of. Written by ``changed``.
        self._told = 0
        # The last generation that the observer heard of. Written by ``_note_progress``.
        self._in_step = -1

    async def run(self) -> None:
        """Serve the stream until one side ends it; raise ``StreamError`` where that is not in good order."""
        request = await self._first()
        if request is None:
            return
        node = request.node or Node()
        peer = Peer(self._context.peer())
        self.info = StreamInfo(node, peer, f"{self._method.service}/{self._method.name}")
        self._server.open_streams.add(self)
        try:
            self.view = self._server.view_of(node, peer)
            self.stream = Stream(
                self._method.variant,
                self.view,
                drain=self._server.drain,
                features=node.client_features,
                max_types=self._server.limits.types,
                max_names=self._server.limits.names,
            )
            self._server.observer.opened(self.info)
            self._coalescer = self._server.coalescers.join(self.view, self)
            self._told = self.view.generation
            try:
                await self._serve(request)
            finally:
                self._server.coalescers.leave(self.view, self)
                self._server.observer.closed(self.info)
        finally:
            self._server.open_streams.remove(self)
            for timer in (self._alarm, self._watchdog):
                if timer:
                    timer.cancel()

    def finish(self) -> None:
        """End the stream in good order, once the client has what is due to it now."""
        self._ending = True
        self._wake.set()

    def changed(self, changes: Changes) -> None:
        """Hand a change of the view to the protocol (``Watcher``)."""
        self.stream.on_change(changes)
        self._told = self.view.generation
        self._wake.set()

    async def _first(self) -> Request | None:
        limit = self._server.limits.first_request
        try:
            async with asyncio.timeout(limit):
                return await self._read()
        except TimeoutError:
            raise StreamError(
                grpc.StatusCode.DEADLINE_EXCEEDED, f"no request came within {limit:g} s"
            ) from None

    async def _serve(self, first: Request) -> None:
        fault: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self._writer = tasks.create_task(self._write_on())
                await self._read_on(first)
                self.finish()  # a client that asks no more (half-close) still gets what it asked for
        except* _FinishedError:
            pass
        except* StreamError as group:
            fault = group.exceptions[0]  # raised here, Python before 3.11.4 would wrap it in a group again
        if fault:
            raise fault

    # Requests

    async def _read(self) -> Request | None:
        data = await self._context.read()
        if not isinstance(data, bytes):  # grpc.aio.EOF: the client will ask for nothing more
            return None
        return await self._decoder.decode(data)

    async def _read_on(self, request: Request | None) -> None:
        clock = asyncio.get_running_loop().time
        limits = self._server.limits
        budget = TimeBudget(limits.loop_share, limits.loop_burst, clock())
        while request is not None:
            began = clock()
            for _ in self._receive(request):
                now = clock()
                await asyncio.sleep(budget.spend(now - began, now))
                began = clock()
            now = clock()
            if wait := budget.spend(HANDLING + now - began, now):
                await asyncio.sleep(wait)
            request = await self._read()

    def _receive(self, request: Request) -> Iterator[None]:
        """Take a request, with pauses in which others have their turn."""
        if not self._only_acknowledges(request):
            self._coalescer.flush()
        if event := self.stream.handle_ack(request):
            self._server.observer.answered(self.info, event)
        self._reading = True
        try:
            for pause in self.stream.read(request):
                yield pause
                self._coalescer.flush()
        except LimitExceededError as error:
            raise exhausted(str(error)) from error
        self._reading = False
        if self.stream.has_due:
            self._wake.set()
        else:
            self._note_progress()

    def _note_progress(self) -> None:
        """Tell the observer if the client has everything now."""
        if self._told > self._in_step and self.stream.subscriptions and self.stream.settled:
            self._in_step = self._told
            self._server.observer.in_step(self.info, self._told, self.stream.rejected.keys())

    def _only_acknowledges(self, request: Request) -> bool:
        """Whether a request only says that a response was taken, as nearly all do: then it comes to the same
        whether it is heard before or after what is untold.
        """
        return (
            isinstance(request, DeltaRequest)
            and request.type_url in self.stream.subscriptions
            and not (request.error or request.asks)
        )

    # Responses

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while (response := self._next(loop)) is not None:
                await self._write(response, loop)
            if self._ending:
                raise _FinishedError
            self._set_alarm(loop)
            await self._wake.wait()

    def _next(self, loop: asyncio.AbstractEventLoop) -> bytes | None:
        """Return what to send now; what stands in the way of that wakes us when it is out of the way."""
        self._wake.clear()
        if self._waited or self._ending:
            self._coalescer.flush()  # or changes that keep coming would keep us waiting
        self._waited = not self._coalescer.settled
        if self._waited or self._reading:
            return None
        response = self.stream.poll(loop.time())
        if response is None:
            self._note_progress()
        return response

    async def _write(self, response: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self._writing = True
        if self._watchdog is None:
            self._watch_out(loop)
        try:
            await self._context.write(response)
        except asyncio.CancelledError:
            if not self._stalled:
                raise
            raise exhausted(f"a response was left unread for {self._server.limits.stall:g} s") from None
        except grpc.aio.InternalError:  # gRPC's way to say that the client is gone
            raise _FinishedError from None
        self._written += 1
        self._writing = False

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm:
            self._alarm.cancel()
        deadline = self.stream.deadline
        self._alarm = None if deadline is None else loop.call_at(deadline, self._wake.set)

    # One timer looks after many writes: starting and stopping one for each would cost as much as the push.

    def _watch_out(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watchdog = loop.call_later(self._server.limits.stall, self._look, self._written, loop)

    def _look(self, written: int, loop: asyncio.AbstractEventLoop) -> None:
        self._watchdog = None
        if not self._writing:
            return
        if self._written > written:
            self._watch_out(loop)
        else:
            self._stalled = True
            self._writer.cancel()
