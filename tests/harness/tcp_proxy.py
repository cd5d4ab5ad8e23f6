"""A TCP proxy whose wires can be cut, for tests of what happens when a server is away."""

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress


class TcpProxy:
    """Passes connections to ports of this machine on to ports of a host.

    With ``tls`` it is what ends TLS. ``delay`` is for how many seconds everything from the host is held back.
    """

    def __init__(self, host: str, ports: dict[int, int], tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._tls = tls
        self.delay = 0.0
        self._ports = ports
        self._servers: list[asyncio.Server] = []
        self._passing: set[asyncio.Task[None]] = set()
        self._flowing = {target: asyncio.Event() for target in ports.values()}

    async def start(self) -> None:
        """Let connections through."""
        self.flow()
        for port, target in self._ports.items():
            passing = functools.partial(self._pass, target)
            self._servers.append(await asyncio.start_server(passing, "127.0.0.1", port, ssl=self._tls))

    async def cut(self) -> None:
        """Break all connections and refuse new ones."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for task in self._passing:
            task.cancel()
        while self._passing:
            await asyncio.wait(self._passing)

    def hang(self, *targets: int) -> None:
        """Keep all connections, take new ones, and pass nothing on; of these ports of the host, or of all."""
        for target in targets or self._flowing:
            self._flowing[target].clear()

    def flow(self) -> None:
        """End ``hang``."""
        for flowing in self._flowing.values():
            flowing.set()

    async def _pass(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        writers = [writer]
        try:
            with suppress(OSError):
                far_reader, far_writer = await self._dial(target)
                writers.append(far_writer)
                async with asyncio.TaskGroup() as both:
                    flowing = self._flowing[target]
                    both.create_task(self._pump(reader, far_writer, flowing))
                    both.create_task(self._pump(far_reader, writer, flowing, delayed=True))
        except asyncio.CancelledError:
            for each in writers:
                each.transport.abort()
        finally:
            for each in writers:
                each.close()

    async def _dial(self, target: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, target)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flowing: asyncio.Event,
        *,
        delayed: bool = False,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await flowing.wait()
                if delayed and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


class TcpBalancer(TcpProxy):
    """Takes connections at a port of this machine; each goes to the next of several others that takes it."""

    def __init__(self, port: int, backends: Sequence[int]) -> None:
        super().__init__("127.0.0.1", {port: port})
        self._backends = backends
        self._next = 0

    async def _dial(self, target: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self._backends:
            backend = self._backends[self._next % len(self._backends)]
            self._next += 1
            with suppress(ConnectionRefusedError):
                return await asyncio.open_connection(self._host, backend)
        raise ConnectionRefusedError("no backend takes a connection")


@asynccontextmanager
async def tcp_proxy(
    host: str, ports: dict[int, int], tls: ssl.SSLContext | None = None
) -> AsyncIterator[TcpProxy]:
    """A proxy that lets connections through from the start."""
    proxy = TcpProxy(host, ports, tls)
    await proxy.start()
    try:
        yield proxy
    finally:
        proxy.flow()
        await proxy.cut()
