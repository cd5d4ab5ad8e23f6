"""One of the processes that serve streams: ``python -m xds.server_process FD`` (``xds.server_processes``).

Started by the compiling process, which is at the other end of the socket ``FD``. It ends with that.
"""

import asyncio
import os
import pickle
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import assert_never

from xds import gc_tuning, logs
from xds.code_digest import code_digest
from xds.composition.port_security import authorization_of, follow_revocations, revocation_list, tls_files
from xds.composition.xds_port import xds_server
from xds.errors import StartError
from xds.out_of_memory import end_when_out_of_memory
from xds.server import TlsError
from xds.server.errors import StreamError
from xds.server_processes import Channel, RemoteObserver, RemoteStatus, RemoteViews, decode_down, encode
from xds.server_processes.messages import (
    Denied,
    Down,
    Failed,
    Forget,
    Listening,
    Loads,
    NoView,
    Open,
    OtherStatusIs,
    Pushed,
    Put,
    Requests,
    Start,
    StatusIs,
    Stop,
    TellStatus,
    Up,
    ViewOf,
    Vitals,
    Wanted,
)
from xds.settings import Settings
from xds.views import node_group_of

_SWEEP = 1.0
"""Seconds between two looks for views that nobody watches, and at how much was sent."""
_LOOP_PERIOD, _LOOP_DELAYS = 0.1, 10
"""Seconds between two looks at how late the loop is, and how many are told at once."""


class _ServerProcess:
    """A server of streams, and the channel to the compiling process."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        self._settings = settings
        self._channel = channel
        self._views = RemoteViews(self._say)
        self._others = RemoteStatus(self._say)
        # Answers that are being written.
        self._answering: set[asyncio.Task[None]] = set()
        # Of which clusters proxies are to report load, by namespace. Written by ``_take``.
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._revoked = revocation_list(settings.xds.tls)
        self._server = xds_server(
            settings,
            self._views.view_of,
            RemoteObserver(self._say),
            group_of=partial(node_group_of, namespace_of=settings.namespace_of),
            clusters_of=lambda namespace: self._wanted.get(namespace, ()),
            loads=lambda node, loads: self._say(Loads(node, loads)),
            requests=lambda node, requests: self._say(Requests(node, requests)),
            authorization=authorization_of(settings, lambda: self._say(Denied()), self._revoked),
            other_status=self._others.ask,
        )

    async def run(self, port: int, messages: AsyncIterator[bytes]) -> None:
        """Listen and serve until the compiling process says otherwise, or is gone."""
        at = self._settings.xds
        try:
            await self._server.start(at.address, port, tls_files(at.tls))
        except TlsError as error:
            self._say(Failed(str(error), tls=True))
            return
        self._say(Listening())
        tasks = [asyncio.create_task(self._sweep()), asyncio.create_task(self._tell_vitals())]
        if self._revoked:
            tasks.append(asyncio.create_task(follow_revocations(self._revoked, self._server.end_revoked)))
        async for data in messages:
            message = decode_down(data)
            if isinstance(message, Stop):
                grace = message.grace
                break
            self._take(message)
        else:
            grace = 0.0  # clients are to go to another replica at once
        for task in tasks:
            task.cancel()
        await self._server.stop(grace)

    def _take(self, message: Down) -> None:
        match message:
            case Put() | ViewOf() | NoView() | Forget():
                self._views.take(message)
            case Wanted(clusters):
                self._wanted = clusters
                self._server.load_wanted_changed()
            case TellStatus(ask, request):
                task = asyncio.create_task(self._tell_status(ask, request))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case OtherStatusIs():
                self._others.take(message)
            case Open():
                self._server.open()
            case Start() | Stop():
                raise AssertionError("one comes first, the other last")
            case _:
                assert_never(message)

    async def _tell_status(self, ask: int, request: bytes) -> None:
        response: bytes | None = None
        with suppress(StreamError):  # too large
            response = await self._server.client_status(request)
        self._say(StatusIs(ask, response))

    async def _sweep(self) -> None:
        told = 0
        while True:
            await asyncio.sleep(_SWEEP)
            self._views.sweep()
            if (pushes := self._server.pushes) != told:
                self._say(Pushed(pushes - told))
                told = pushes

    async def _tell_vitals(self) -> None:
        while True:
            delays = []
            for _ in range(_LOOP_DELAYS):
                due = time.monotonic() + _LOOP_PERIOD
                await asyncio.sleep(_LOOP_PERIOD)
                delays.append(max(0.0, time.monotonic() - due))
            self._say(Vitals(_memory(), time.process_time(), tuple(delays)))

    def _say(self, message: Up) -> None:
        self._channel.send(encode(message))


def _memory() -> int:
    """Return the bytes of memory of this process (``man proc_pid_statm``)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _check_code(code: bytes) -> None:
    if code != code_digest():
        raise StartError("Grayplane was upgraded since this server was started: restart it")


async def _main(ours: socket.socket) -> None:
    end_when_out_of_memory()
    channel = await Channel.over(ours)
    messages = channel.messages()
    data = await anext(messages, None)
    if data is None:
        return
    start = decode_down(data)
    assert isinstance(start, Start)
    try:
        _check_code(start.code)
        settings: Settings = pickle.loads(start.settings)  # noqa: S301  # of the process that started this one
        logs.configure(settings.log.level, settings.log.format, process=start.number)
        await _ServerProcess(settings, channel).run(start.port, messages)
    except StartError as error:
        channel.send(encode(Failed(str(error), tls=False)))
    finally:
        await channel.close()


if __name__ == "__main__":
    # The whole group may get these; this one ends with its parent.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc_tuning.look_rarely()
    asyncio.run(_main(socket.socket(fileno=int(sys.argv[1]))))
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(0)  # nothing is left to be done, and the interpreter takes seconds to undo everything
