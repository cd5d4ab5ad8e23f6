"""Messages between two processes, over a socket that nobody else can open."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

_LENGTH = struct.Struct("!I")
_MOST_UNREAD = 256 << 20
"""Bytes that the other side may leave unread; one that leaves more is stuck."""
_MUCH_UNREAD = 8 << 20
"""Bytes that it may leave unread before it is waited for."""
_AT_ONCE = 64
"""Messages that are read before others have their turn."""
_READ_BUFFER = 1 << 20


class Channel:
    """One end. Messages are bytes; those that are sent in one turn of the loop go out together."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(_MUCH_UNREAD)
        # What is sent at the end of this turn of the loop, and its size. Written by ``send`` and ``_flush``.
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0

    @classmethod
    async def over(cls, sock: socket.socket) -> Self:
        """Make the end that a socket is."""
        return cls(*await asyncio.open_connection(sock=sock, limit=_READ_BUFFER))

    def send(self, message: bytes) -> None:
        """Send a message, soon. To an end that is closed, or does not read, nothing is sent."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += (_LENGTH.pack(len(message)), message)
        self._unsent_bytes += len(message)

    @property
    def congested(self) -> bool:
        """Whether the other side has left so much unread that it should be waited for (``drained``)."""
        return self._unsent_bytes + self._writer.transport.get_write_buffer_size() > _MUCH_UNREAD

    async def drained(self) -> None:
        """Let others have their turn, and wait while it is congested; not for one that is gone."""
        await asyncio.sleep(0)
        while self.congested:
            await asyncio.sleep(0)  # what is sent in this turn of the loop goes out at its end
            with suppress(ConnectionError):
                await self._writer.drain()

    def _flush(self) -> None:
        data, self._unsent, self._unsent_bytes = b"".join(self._unsent), [], 0
        if self._writer.transport.is_closing():
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _MOST_UNREAD:
            self._writer.transport.abort()

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages until the other side closes its end, or is gone."""
        count = 0
        try:
            while True:
                [length] = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                yield await self._reader.readexactly(length)
                count += 1
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    async def close(self) -> None:
        """Send what is left and close."""
        if self._unsent:
            self._flush()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return
