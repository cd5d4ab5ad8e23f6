"""Drives one stream: bytes in, protocol, bytes out."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
import grpc.aio

from xds.cache import View
from xds.protocol import LimitExceededError, Stream
from xds.protocol.variants import Request
from xds.server.authorization import Authorization
from xds.server.coalescer import ChangeCoalescers, CoalescedStream
from xds.server.decoder import RequestDecoder
from xds.server.errors import StreamError, exhausted
from xds.server.limits import HANDLING, STREAM_AGES, Limits, TimeBudget
from xds.server.observer import Observer, Peer, StreamInfo
from xds.server.open_streams import OpenStreams
from xds.server.revocation import certificate_id
from xds.server.tls import identities
from xds.wire import Node

Context = grpc.aio.ServicerContext[bytes, bytes]


ViewOf = Callable[[Node, Peer], View | Awaitable[View]]
"""Says which view a node sees."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What all streams of one server share."""

    view_of: ViewOf
    observer: Observer
    authorization: Authorization | None
    drain: float
    limits: Limits
    open_streams: OpenStreams
    coalescers: ChangeCoalescers


def peer_of(context: Context) -> Peer:
    """Return who is at the other end of a call."""
    authenticated = context.auth_context()
    return Peer(context.peer(), identities(authenticated), certificate_id(authenticated))


class _FinishedError(Exception):
    """The stream ends in good order."""


class StreamHandler:
    """One stream of one client, from its first request to its end.

    One task reads and another one writes, so the ACKs of a client that stops reading are still read. Requests
    are read no faster than the ``TimeBudget`` allows; the rest waits at the client (HTTP/2 flow control).
    Changes are merged in the ``Stream``: one response at a time is written.
    """

    __slots__ = (
        "_alarm",
        "_coalesced",
        "_context",
        "_decoder",
        "_ending",
        "_in_step",
        "_method",
        "_server",
        "_stalled",
        "_wake",
        "_watchdog",
        "_writer",
        "_writing",
        "_written",
        "info",
        "stream",
        "view",
    )
    # ``info``, ``view``, ``stream``, ``_coalesced`` and ``_writer`` are there from the first request on; they
    # are written by ``run`` and ``_serve``.

    def __init__(self, decoder: RequestDecoder, context: Context, server: ServerState) -> None:
        self._decoder = decoder
        self._method = decoder.method
        self._context = context
        self._server = server
        # Set when there may be something to send; cleared by the writer.
        self._wake = asyncio.Event()
        # Sets ``_wake`` at the stream's deadline. Written by the writer.
        self._alarm: asyncio.TimerHandle | None = None
        # Looks whether the client reads. Written by the writer and by itself.
        self._watchdog: asyncio.TimerHandle | None = None
        # Whether a response is being written, and how many were. Written by the writer.
        self._writing = False
        self._written = 0
        # Whether the client stopped reading. Written by the watchdog.
        self._stalled = False
        # Whether the stream ends once the client has what is due to it. Written by ``finish``.
        self._ending = False
        # The last generation that the observer heard of. Written by ``_note_progress``.
        self._in_step = -1

    async def run(self) -> None:
        """Serve the stream until one side ends it; raise ``StreamError`` where that is not in good order."""
        request = await self._first()
        if request is None:
            return
        node = request.node or Node()
        peer = peer_of(self._context)
        if self._server.authorization:
            self._server.authorization.check(node, peer)
        self.info = StreamInfo(node, peer, f"{self._method.service}/{self._method.name}")
        view = self._server.view_of(node, peer)
        self.view = view if isinstance(view, View) else await view
        self._server.open_streams.add(self)
        ageing = self._end_with_age()
        try:
            self.stream = Stream(
                self._method.variant,
                self.view,
                drain=self._server.drain,
                features=node.client_features,
                max_types=self._server.limits.types,
                max_names=self._server.limits.names,
            )
            self._server.observer.opened(self.info)
            self._coalesced = CoalescedStream(self.stream, self.view, self._server.coalescers, self._wake.set)
            try:
                for _ in self.view.fill():
                    await asyncio.sleep(0)
                await self._serve(request)
            finally:
                self._coalesced.close()
                self._server.observer.closed(self.info)
        finally:
            self._server.open_streams.remove(self)
            for timer in (self._alarm, self._watchdog, ageing):
                if timer:
                    timer.cancel()

    @property
    def written(self) -> int:
        """How many responses were sent."""
        return self._written

    def finish(self) -> None:
        """End the stream in good order, once the client has what is due to it now."""
        self._ending = True
        self._wake.set()

    def _end_with_age(self) -> asyncio.TimerHandle | None:
        # gRPC tells the client that an old connection takes no new streams, but leaves its streams open. They
        # end after that, each at a time of its own, so that they do not all come back at once.
        age = self._server.limits.connection_age
        if age is None:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(age * random.uniform(*STREAM_AGES), self.finish)  # noqa: S311  # no secret

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
        decoder, context, coalesced = self._decoder, self._context, self._coalesced
        while request is not None:
            began = clock()
            if event := coalesced.handle_ack(request):
                self._server.observer.answered(self.info, event)
            try:
                for _ in coalesced.read(request):  # in these pauses, others have their turn
                    now = clock()
                    await asyncio.sleep(budget.spend(now - began, now))
                    began = clock()
            except LimitExceededError as error:
                raise exhausted(str(error)) from error
            if not self.stream.has_due:
                self._note_progress()
            now = clock()
            if wait := budget.spend(HANDLING + now - began, now):
                await asyncio.sleep(wait)
            # A coroutine of our own around each of these would cost a tenth of a push.
            data = await context.read()
            if not isinstance(data, bytes):
                return
            request = decoder.decode_small(data) or await decoder.decode(data)

    def _note_progress(self) -> None:
        """Tell the observer if the client has everything now."""
        told = self._coalesced.generation
        if told > self._in_step and self.stream.subscriptions and self.stream.settled:
            self._in_step = told
            self._server.observer.in_step(self.info, told, self.stream.rejected.keys())

    # Responses

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        context, wake, prepares = self._context, self._wake, self._method.variant.complete
        try:
            while True:
                while (response := await self._prepared(loop) if prepares else self._next(loop)) is not None:
                    self._writing = True
                    if self._watchdog is None:
                        self._start_watchdog(loop)
                    await context.write(response)
                    self._written += 1
                    self._writing = False
                if self._ending:
                    raise _FinishedError
                self._set_alarm(loop)
                await wake.wait()
        except asyncio.CancelledError:
            if not self._stalled:
                raise
            raise exhausted(f"a response was left unread for {self._server.limits.stall:g} s") from None
        except grpc.aio.InternalError:  # gRPC's way to say that the client is gone
            raise _FinishedError from None

    async def _prepared(self, loop: asyncio.AbstractEventLoop) -> bytes | None:
        """Return the same as ``_next``, encoded with pauses in which others have their turn."""
        for _ in self.stream.prepare():
            await asyncio.sleep(0)
        return self._next(loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> bytes | None:
        """Return what to send now; None if nothing is to be sent before the next wake."""
        self._wake.clear()
        if not self._coalesced.ready(ending=self._ending):
            return None
        response = self.stream.poll(loop.time())
        if response is None:
            self._note_progress()
        return response

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm:
            self._alarm.cancel()
        deadline = self.stream.deadline
        self._alarm = None if deadline is None else loop.call_at(deadline, self._wake.set)

    # One timer looks after many writes: starting and stopping one for each would cost as much as the push.

    def _start_watchdog(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watchdog = loop.call_later(self._server.limits.stall, self._check_progress, self._written, loop)

    def _check_progress(self, written: int, loop: asyncio.AbstractEventLoop) -> None:
        self._watchdog = None
        if not self._writing:
            return
        if self._written > written:
            self._start_watchdog(loop)
        else:
            self._stalled = True
            self._writer.cancel()
