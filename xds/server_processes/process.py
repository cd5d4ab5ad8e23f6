"""One server process, as the compiling process knows it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

from xds.errors import BindError
from xds.server import StreamInfo, TlsError
from xds.server_processes.channel import Channel
from xds.server_processes.messages import Failed, Listening, Start, Vitals, decode_up, encode
from xds.wire import Node

_COMES_UP = 120.0
"""Seconds that a server process has to listen."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """How a server process is, for metrics: bytes of memory, and seconds of CPU time since it was started."""

    number: int
    running: bool
    streams: int = 0
    memory: int = 0
    cpu: float = 0.0


class ServerProcess:
    """A server process that listens (``Receiver``)."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.process = process
        self._channel = channel
        # Its open streams, and the nodes that asked it for a view and have not opened theirs yet. Written by
        # ``ServerProcesses``, as what follows.
        self.streams: dict[int, StreamInfo] = {}
        self.asking: dict[int, Node] = {}
        # What it said last of itself.
        self.vitals = Vitals(0, 0.0, ())
        # How often it was looked after since it said anything. Cleared by ``messages``.
        self.silent = 0
        self._messages = channel.messages()

    @classmethod
    async def start(cls, number: int, command: Sequence[str]) -> Self:
        """Start a process; the file descriptor of its socket is added to the command. Raise ``OSError``."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            return cls(number, process, await Channel.over(ours))
        except BaseException:
            ours.close()
            raise

    async def listen(self, start: Start) -> None:
        """Have it listen. Raise ``BindError`` or ``TlsError``."""
        self.send(encode(start))
        try:
            async with asyncio.timeout(_COMES_UP):
                data = await anext(self._messages, None)
        except TimeoutError:
            raise BindError(f"a server process did not come up within {_COMES_UP:g} s") from None
        match decode_up(data) if data else None:
            case Listening():
                pass
            case Failed(reason, tls):
                raise TlsError(reason) if tls else BindError(reason)
            case _:
                status = await self.process.wait()
                raise BindError(f"a server process ended at its start with status {status}")

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield what it says, until it is gone."""
        async for data in self._messages:
            self.silent = 0
            yield data

    @property
    def state(self) -> ProcessState:
        """How it is."""
        return ProcessState(self.number, True, len(self.streams), self.vitals.memory, self.vitals.cpu)

    @property
    def congested(self) -> bool:
        """Whether it has left so much unread that nothing that can wait should be sent (``Receiver``)."""
        return self._channel.congested

    def send(self, message: bytes) -> None:
        """Send it a message (``Receiver``)."""
        self._channel.send(message)

    async def drained(self) -> None:
        """Let others have their turn, and wait while it is congested (``Receiver``)."""
        await self._channel.drained()

    async def end(self, *, kill: bool = True) -> None:
        """End it, or only wait until it has ended."""
        await self._channel.close()
        if kill and self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
