"""HTTP/1.1 that costs little beside the proxy that is measured: what is sent and answered is always alike."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter
from typing import Self

_CONNECTIONS = 32
_LENGTH = b"content-length: "


class Upstream(asyncio.Protocol):
    """An instance of a service: answers every request with its version."""

    def __init__(self, version: str) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(version), version.encode())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (``asyncio.Protocol``)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the requests in it; none has a body, and none is longer than a segment."""
        self._transport.write(self._answer * data.count(b"\r\n\r\n"))


async def upstream(version: str) -> asyncio.Server:
    """Start an instance on a free port of this machine."""
    return await asyncio.get_running_loop().create_server(lambda: Upstream(version), "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    """Return the port that a server listens on."""
    return int(server.sockets[0].getsockname()[1])


class Client:
    """One connection that asks one host again and again."""

    def __init__(self, port: int, host: str, header: tuple[str, str]) -> None:
        self._port = port
        name, value = header
        self._request = f"GET / HTTP/1.1\r\nhost: {host}\r\n{name}: {value}\r\n\r\n".encode()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self) -> tuple[int, str]:
        """Send a request; return the status and the body. Raise ``ConnectionError`` if none comes."""
        self._writer.write(self._request)
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) : head.index(b"\r", at)]) if at >= 0 else 0
            body = await self._reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection was closed before an answer") from error
        return int(head.split(b" ", 2)[1]), body.decode()


@dataclass(slots=True)
class Outcome:
    """What became of requests: how many had each status, how many no answer, and seconds each took."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Requests without an answer, or with one that no instance gave."""
        return self.broken + self.statuses.total() - self.statuses[200]


async def load(port: int, host: str, header: tuple[str, str], rate: int, over: asyncio.Event) -> Outcome:
    """Send requests at a rate, in requests a second, until an event; late ones are sent at once."""
    outcome = Outcome()
    start = perf_counter()

    async def connection(number: int) -> None:
        due = start + number / rate
        async with Client(port, host, header) as client:
            while not over.is_set():
                await asyncio.sleep(max(0.0, due - perf_counter()))
                sent = perf_counter()
                try:
                    status, _ = await client.ask()
                except ConnectionError:
                    outcome.broken += 1
                    await client.__aexit__()
                    await client.__aenter__()
                else:
                    outcome.statuses[status] += 1
                    outcome.seconds.append(perf_counter() - sent)
                due += _CONNECTIONS / rate

    async with asyncio.TaskGroup() as tasks:
        for number in range(_CONNECTIONS):
            tasks.create_task(connection(number))
    return outcome
