"""The side of the compiling process: starts server processes, and is told by them of all their streams."""

import asyncio
import contextlib
import pickle
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, assert_never

import structlog

from xds.cache import View
from xds.errors import BindError
from xds.server import ClusterLoad, LoggedRequest, Observer, Peer, StreamInfo, TlsError, TlsFiles
from xds.server_processes.channel import Channel
from xds.server_processes.gathered_status import GatheredStatus
from xds.server_processes.messages import (
    Answered,
    Ask,
    AskStatus,
    Closed,
    Denied,
    Failed,
    InStep,
    Listening,
    Loads,
    Open,
    Opened,
    Pushed,
    Requests,
    Start,
    StatusIs,
    Stop,
    Unused,
    Up,
    Wanted,
    decode_up,
    encode,
    event_of,
)
from xds.server_processes.shared_view import SharedView
from xds.wire import Node

_log = structlog.get_logger(__name__)

_AGAIN = 1.0
"""Seconds until a server process that ended is started again."""
_ENDING = 3.0
"""Seconds that server processes have to end once their streams have."""

LoadWanted = Callable[[], Mapping[str, tuple[str, ...]]]
"""The clusters of which proxies are to report load, by namespace."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Who is told what server processes are told, beside the observer of streams."""

    loads: Callable[[Node, tuple[ClusterLoad, ...]], None]
    requests: Callable[[Node, tuple[LoggedRequest, ...]], None]
    denied: Callable[[], None]
    views_released: Callable[[], None]
    """Some views are watched by nobody any more."""


@dataclass(slots=True, eq=False)
class _ServerProcess:
    """A server process that runs."""

    number: int
    process: asyncio.subprocess.Process
    channel: Channel
    streams: dict[int, StreamInfo] = field(default_factory=dict)

    def send(self, message: bytes) -> None:
        """Send it a message."""
        self.channel.send(message)


class ServerProcesses:
    """Serves views to nodes in several processes; to be used as ``XdsServer`` is.

    ``command`` starts a server process; the file descriptor of its socket is added to it. ``settings`` is
    what it is sent first. One that ends is started again; its clients go to the others meanwhile.
    """

    def __init__(
        self,
        processes: int,
        command: Sequence[str],
        settings: object,
        *,
        view_of: Callable[[Node, Peer], View],
        observer: Observer,
        reported: Reported,
        load_wanted: LoadWanted,
    ) -> None:
        self._count = processes
        self._command = tuple(command)
        self._settings = pickle.dumps(settings)
        self._view_of = view_of
        self._observer = observer
        self._reported = reported
        self._load_wanted = load_wanted
        # Those that were started and have not ended. Written by ``_start_one`` and ``_ended``.
        self._processes: set[asyncio.subprocess.Process] = set()
        # Those of them that listen.
        self._running: dict[_ServerProcess, None] = {}
        # The views that processes have replicas of. Written by ``_give`` and ``_release``.
        self._views: dict[View, SharedView] = {}
        self._view_numbers = count()
        self._status = GatheredStatus()
        # Whether streams are answered, and whether the server stops. Written by ``open`` and ``stop``.
        self._serving = False
        # Responses that were sent. Written by ``_take``.
        self._pushes = 0
        self._stopping = False
        # What is under way for each process. Written by ``_run``.
        self._tasks: set[asyncio.Task[None]] = set()
        # Holds the port while processes end and start. Written by ``start``.
        self._reservation: socket.socket | None = None

    async def start(self, address: str, port: int, tls: TlsFiles | None = None) -> int:
        """Have all processes listen; return the port, a free one if 0 is given.

        ``tls`` is for them to read: it is in their settings. Raise ``BindError`` or ``TlsError``.
        """
        self._reservation = _reserve(address, port)
        self._port = int(self._reservation.getsockname()[1])
        await asyncio.gather(*map(self._start_one, range(self._count)))
        return self._port

    def open(self) -> None:
        """Begin to answer."""
        self._serving = True
        self._tell_all(encode(Open()))

    @property
    def serving(self) -> bool:
        """Whether clients are answered yet."""
        return self._serving

    @property
    def pushes(self) -> int:
        """How many responses were sent since the start, as far as server processes have said."""
        return self._pushes

    def load_wanted_changed(self) -> None:
        """Say that other clusters are to be reported than before."""
        self._tell_all(encode(Wanted(dict(self._load_wanted()))))

    def end_revoked(self) -> None:
        """Do nothing: server processes look at the file of revoked certificates themselves."""

    async def stop(self, grace: float = 0.5) -> None:
        """Close all streams, cleanly within ``grace`` seconds, and end the processes."""
        self._stopping = True
        self._tell_all(encode(Stop(grace)))
        ending = [asyncio.ensure_future(each.process.wait()) for each in self._running]
        if ending:
            await asyncio.wait(ending, timeout=grace + _ENDING)
        for task in self._tasks:
            task.cancel()
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        waiting = [process.wait() for process in self._processes]
        await asyncio.gather(*self._tasks, *ending, *waiting, return_exceptions=True)
        if self._reservation:
            self._reservation.close()

    def _tell_all(self, message: bytes) -> None:
        for each in self._running:
            each.send(message)

    async def _start_one(self, number: int) -> None:
        """Start a process and wait until it listens."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._processes.add(process)
        channel = await Channel.over(ours)
        one = _ServerProcess(number, process, channel)
        one.send(encode(Start(self._settings, self._port)))
        messages = channel.messages()
        first = decode_up(data) if (data := await anext(messages, None)) else None
        if not isinstance(first, Listening):
            await channel.close()
            await self._ended(process)
            if isinstance(first, Failed):
                raise TlsError(first.reason) if first.tls else BindError(first.reason)
            raise BindError(f"a server process ended at its start with status {process.returncode}")
        self._running[one] = None
        one.send(encode(Wanted(dict(self._load_wanted()))))
        if self._serving:
            one.send(encode(Open()))
        self._run(self._attend(one, messages))

    async def _attend(self, one: _ServerProcess, messages: AsyncIterator[bytes]) -> None:
        async for data in messages:
            try:
                self._take(one, decode_up(data))
            except Exception:  # noqa: BLE001  # what goes wrong with one message concerns no other
                _log.exception("a message of a server process could not be handled", process=one.number)
        self._lost(one)
        await one.channel.close()
        if one.process.returncode is None and not self._stopping:
            one.process.kill()  # it does not read, or its socket is broken
        await self._ended(one.process)
        while not self._stopping:
            _log.error(
                "a server process ended and is started again",
                process=one.number,
                status=one.process.returncode,
                streams_lost=len(one.streams),
            )
            await asyncio.sleep(_AGAIN)
            with contextlib.suppress(BindError, TlsError):
                await self._start_one(one.number)
                return

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._processes.discard(process)

    def _lost(self, one: _ServerProcess) -> None:
        """Forget a process: all its streams are closed."""
        self._running.pop(one, None)
        self._status.drop(one.send)
        for stream in one.streams.values():
            self._observer.closed(stream)
        self._release([view for view, shared in self._views.items() if shared.drop(one.send)])

    def _release(self, views: Sequence[View]) -> None:
        for view in views:
            del self._views[view]
        if views:
            self._reported.views_released()

    def _take(self, one: _ServerProcess, message: Up) -> None:
        match message:
            case Opened() | Closed() | Answered() | InStep():
                self._observe(one, message)
            case AskStatus():
                others = [other.send for other in self._running if other is not one]
                self._status.ask(one.send, message, others)
            case StatusIs():
                self._status.take(one.send, message)
            case Ask(ask, node, peer):
                self._give(one, ask, self._view_of(node, peer))
            case Unused(number, answers):
                found = [view for view, shared in self._views.items() if shared.number == number]
                self._release([view for view in found if self._views[view].unused(one.send, answers)])
            case Loads() | Requests() | Pushed() | Denied():
                self._report(message)
            case Listening() | Failed():
                raise AssertionError(f"{message} comes first or never")
            case _:
                assert_never(message)

    def _observe(self, one: _ServerProcess, message: Opened | Closed | Answered | InStep) -> None:
        match message:
            case Answered(number):
                self._observer.answered(one.streams[number], event_of(message))
            case InStep(number, generation, rejected):
                self._observer.in_step(one.streams[number], generation, frozenset(rejected))
            case Opened(number, node, peer, method):
                stream = one.streams[number] = StreamInfo(node, peer, method)
                self._observer.opened(stream)
            case Closed(number):
                self._observer.closed(one.streams.pop(number))

    def _report(self, message: Loads | Requests | Pushed | Denied) -> None:
        match message:
            case Loads(node, loads):
                self._reported.loads(node, loads)
            case Requests(node, requests):
                self._reported.requests(node, requests)
            case Pushed(responses):
                self._pushes += responses
            case Denied():
                self._reported.denied()

    def _give(self, one: _ServerProcess, ask: int, view: View) -> None:
        shared = self._views.get(view)
        if shared is None:
            shared = self._views[view] = SharedView(next(self._view_numbers), view)
        if shared.ask(one.send, ask):
            self._run(shared.load(one.send))

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reserve(address: str, port: int) -> socket.socket:
    """Take the port for as long as the socket returned is open, for processes of ours alone."""
    if sys.platform != "linux":
        raise BindError("xds.processes: several processes share a port on Linux only; set 1")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as alone:  # another program's, even if it shares its port with others
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((address, port))
        shared = socket.socket(family)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((address, port))
    except OSError as error:
        raise BindError(
            f"cannot listen on {address}:{port}: is another program using the port? ({error.strerror})"
        ) from error
    return shared
