"""The side of the compiling process: starts server processes, and is told by them of all their streams."""

import asyncio
import pickle
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import structlog

from xds.cache import View
from xds.code_digest import code_digest
from xds.errors import BindError
from xds.out_of_memory import tell_if_out_of_memory
from xds.server import ClusterLoad, LoggedRequest, Observer, Peer, StreamInfo, TlsError, TlsFiles
from xds.server.errors import StreamError
from xds.server_processes.admission import Admission
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
    NoView,
    Open,
    Opened,
    Pushed,
    Requests,
    Settled,
    Start,
    StatusIs,
    Stop,
    Unused,
    Up,
    Vitals,
    Wanted,
    decode_up,
    encode,
    event_of,
)
from xds.server_processes.process import ProcessState, ServerProcess
from xds.server_processes.shared_view import SharedViews
from xds.wire import Node

_log = structlog.get_logger(__name__)

_AGAIN, _AGAIN_AT_MOST = 1.0, 30.0
"""Seconds until a server process that ended is started again: at first, and when it does not stay."""
_STAYED = 60.0
"""Seconds after which one that ends is started again as quickly as at first."""
_ENDING = 3.0
"""Seconds that server processes have to end once their streams have."""
_LOOK = 5.0
"""Seconds between two looks whether they say anything; they do so every second."""
_SILENT = 12
"""Looks after which one that says nothing is stuck."""

LoadWanted = Callable[[], Mapping[str, tuple[str, ...]]]
"""The clusters of which proxies are to report load, by namespace."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Who is told what server processes are told, beside the observer of streams."""

    loads: Callable[[Node, tuple[ClusterLoad, ...]], None]
    requests: Callable[[Node, tuple[LoggedRequest, ...]], None]
    denied: Callable[[], None]
    asked: Callable[[Node], None]
    """A node is given a view, and will open a stream, or be gone (``settled``)."""
    settled: Callable[[Node], None]
    views_released: Callable[[], None]
    """Some views are watched by nobody any more."""
    loop_delays: Callable[[Collection[float]], None]


class ServerProcesses:
    """Serves views to nodes in several processes; to be used as ``XdsServer`` is.

    ``command`` starts a server process; the file descriptor of its socket is added to it. ``settings`` is
    what it is sent first. One that ends, or is stuck, is started again; its clients go to the others
    meanwhile. ``admission`` has the limits of streams of all of them together.
    """

    def __init__(
        self,
        processes: int,
        command: Sequence[str],
        settings: object,
        *,
        view_of: Callable[[Node, Peer], Awaitable[View]],
        observer: Observer,
        reported: Reported,
        load_wanted: LoadWanted,
        admission: Admission,
    ) -> None:
        self._count = processes
        self._command = tuple(command)
        self._settings = pickle.dumps(settings)
        self._view_of = view_of
        self._observer = observer
        self._reported = reported
        self._load_wanted = load_wanted
        self._admission = admission
        # Those that were started and have not ended. Written by ``_start_one``.
        self._started: set[ServerProcess] = set()
        # Those of them that listen, by number. Written by ``_start_one`` and ``_lost``.
        self._running: dict[int, ServerProcess] = {}
        # Why those that do not run could not be started again. Written by ``_restart``.
        self._failures: dict[int, str] = {}
        # Seconds until each is started again if it ends soon. Written by ``_restart``.
        self._pauses = dict.fromkeys(range(1, processes + 1), _AGAIN)
        self.restarts = 0
        """How often a server process was started again."""
        self._views = SharedViews(self._run, reported.views_released)
        self._status = GatheredStatus()
        # Whether streams are answered, and whether the server stops. Written by ``open`` and ``stop``.
        self._serving = False
        # Responses that were sent. Written by ``_pass_on``.
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
        self._code = await asyncio.to_thread(code_digest)
        self._reservation = _reserve(address, port)
        self._port = int(self._reservation.getsockname()[1])
        await asyncio.gather(*map(self._start_one, range(1, self._count + 1)))
        self._run(self._look_after())
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

    @property
    def running(self) -> bool:
        """Whether any process listens."""
        return bool(self._running)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the processes; None if all run."""
        missing = self._count - len(self._running)
        if not missing:
            return None
        reasons = "; ".join(sorted(set(self._failures.values())))
        told = f"xds.processes: {missing} of {self._count} server processes do not run"
        return f"{told}: {reasons}" if reasons else told

    def states(self) -> list[ProcessState]:
        """Return how each process is."""
        numbers = range(1, self._count + 1)
        found = ((number, self._running.get(number)) for number in numbers)
        return [one.state if one else ProcessState(number, running=False) for number, one in found]

    def load_wanted_changed(self) -> None:
        """Say that other clusters are to be reported than before."""
        self._tell_all(encode(Wanted(dict(self._load_wanted()))))

    def end_revoked(self) -> None:
        """Do nothing: server processes look at the file of revoked certificates themselves."""

    async def stop(self, grace: float = 0.5) -> None:
        """Close all streams, cleanly within ``grace`` seconds, and end the processes."""
        self._stopping = True
        self._tell_all(encode(Stop(grace)))
        ending = [asyncio.ensure_future(each.process.wait()) for each in self._running.values()]
        if ending:
            await asyncio.wait(ending, timeout=grace + _ENDING)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*ending, *(each.end() for each in self._started))
        if self._reservation:
            self._reservation.close()

    def _tell_all(self, message: bytes) -> None:
        for each in self._running.values():
            each.send(message)

    async def _start_one(self, number: int) -> None:
        """Start a process and wait until it listens. Raise ``BindError`` or ``TlsError``."""
        try:
            one = await ServerProcess.start(number, self._command)
        except OSError as error:  # no memory, too many processes or open files
            raise BindError(f"a server process cannot be started: {error.strerror}") from error
        self._started.add(one)
        try:
            await one.listen(Start(number, self._code, self._settings, self._port))
        except (BindError, TlsError):
            await one.end()
            self._started.discard(one)
            raise
        self._running[number] = one
        one.send(encode(Wanted(dict(self._load_wanted()))))
        if self._serving:
            one.send(encode(Open()))
        self._run(self._attend(one))

    async def _attend(self, one: ServerProcess) -> None:
        """Take what a process says until it is gone, and start another one in its place."""
        began = asyncio.get_running_loop().time()
        async for data in one.messages():
            try:
                self._take(one, decode_up(data))
            except Exception as error:  # noqa: BLE001  # what goes wrong with one message concerns no other
                _log.exception("a message of a server process could not be handled", process=one.number)
                tell_if_out_of_memory(error)
        streams = len(one.streams)
        self._lost(one)
        await one.end(kill=not self._stopping)  # it does not read, or its socket is broken
        self._started.discard(one)
        if not self._stopping:
            _log.error(
                "a server process ended and is started again",
                process=one.number,
                status=one.process.returncode,
                streams_lost=streams,
            )
            await self._restart(one.number, asyncio.get_running_loop().time() - began)

    async def _restart(self, number: int, lived: float) -> None:
        pause = _AGAIN if lived > _STAYED else self._pauses[number]
        while True:
            await asyncio.sleep(pause)
            self._pauses[number] = pause = min(2 * pause, _AGAIN_AT_MOST)
            try:
                await self._start_one(number)
            except (BindError, TlsError) as error:
                self._failures[number] = str(error)
                _log.error(
                    "a server process cannot be started", process=number, reason=str(error), again_in=pause
                )
            else:
                self._failures.pop(number, None)
                self.restarts += 1
                return

    async def _look_after(self) -> None:
        """Kill those that are stuck: that they listen is all that their clients know."""
        while True:
            await asyncio.sleep(_LOOK)
            for one in tuple(self._running.values()):
                one.silent += 1
                if one.silent == _SILENT:
                    _log.error("a server process is stuck and is killed", process=one.number)
                    one.process.kill()

    def _lost(self, one: ServerProcess) -> None:
        """Forget a process: all its streams are closed."""
        self._running.pop(one.number, None)
        self._status.drop(one)
        for stream in one.streams.values():
            self._closed(stream)
        for node in one.asking.values():
            self._settled(node)
        self._views.drop(one)

    def _take(self, one: ServerProcess, message: Up) -> None:
        match message:
            case Opened() | Closed() | Answered() | InStep():
                self._observe(one, message)
            case AskStatus():
                others = [other for other in self._running.values() if other is not one]
                self._status.ask(one, message, others)
            case StatusIs():
                self._status.take(one, message)
            case Ask():
                self._run(self._answer(one, message))
            case Settled(ask):
                if node := one.asking.pop(ask, None):
                    self._settled(node)
            case Unused():
                self._views.take(one, message)
            case Loads() | Requests() | Pushed() | Denied() | Vitals():
                self._pass_on(one, message)
            case Listening() | Failed():
                raise AssertionError(f"{message} comes first or never")
            case _:
                assert_never(message)

    def _pass_on(self, one: ServerProcess, message: Loads | Requests | Pushed | Denied | Vitals) -> None:
        match message:
            case Loads(node, loads):
                self._reported.loads(node, loads)
            case Requests(node, requests):
                self._reported.requests(node, requests)
            case Pushed(responses):
                self._pushes += responses
            case Denied():
                self._reported.denied()
            case Vitals(_, _, delays):
                one.vitals = message
                self._reported.loop_delays(delays)

    def _observe(self, one: ServerProcess, message: Opened | Closed | Answered | InStep) -> None:
        match message:
            case Answered(number):
                self._observer.answered(one.streams[number], event_of(message))
            case InStep(number, generation, rejected):
                self._observer.in_step(one.streams[number], generation, frozenset(rejected))
            case Opened(number, node, peer, method):
                stream = one.streams[number] = StreamInfo(node, peer, method)
                self._admission.enter(node.id)
                self._observer.opened(stream)
            case Closed(number):
                self._closed(one.streams.pop(number))

    def _closed(self, stream: StreamInfo) -> None:
        self._admission.leave(stream.node.id)
        self._observer.closed(stream)

    def _settled(self, node: Node) -> None:
        self._admission.leave(node.id)
        self._reported.settled(node)

    async def _answer(self, one: ServerProcess, message: Ask) -> None:
        """Give a node its view, or say why there is none for it."""
        try:
            self._admission.check(message.node.id)
        except StreamError as error:
            one.send(encode(NoView(message.ask, error.code.name, error.details)))
            return
        one.asking[message.ask] = message.node
        self._admission.enter(message.node.id)
        self._reported.asked(message.node)
        try:
            view = await self._view_of(message.node, message.peer)
        except StreamError as error:
            one.send(encode(NoView(message.ask, error.code.name, error.details)))
        except Exception:  # noqa: BLE001  # what goes wrong with one view concerns no other
            one.send(encode(NoView(message.ask, "INTERNAL", "the server failed; its log says why")))
            _log.exception("a message of a server process could not be handled", process=one.number)
        else:
            if self._running.get(one.number) is one:
                self._views.give(one, message.ask, view)
            else:  # it ended meanwhile
                self._reported.views_released()

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
