"""The least that a server on grpc.aio does: ``python -m bench.plain_server CORPUS``.

It knows no protocol: every stream is sent the edited resource at once and after each edit, the same bytes
for all, and what clients say is read and dropped. So it is what gRPC costs from Python: our server's limit.
"""

import asyncio
import sys
from pathlib import Path

import grpc.aio

from bench.control import serve
from bench.library_server import edit, is_edited, load
from xds import gc_tuning
from xds.cache import Resource
from xds.wire import delimited

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"

Context = grpc.aio.ServicerContext[bytes, bytes]


class PlainServer:
    """Takes delta streams; ``start`` and ``stop`` are those of ``XdsServer``."""

    def __init__(self, resource: Resource) -> None:
        self._streams: set[asyncio.Event] = set()
        self.put(resource)
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._serve)
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": handler})]
        )

    def put(self, resource: Resource) -> None:
        """Send another version to every stream."""
        body = delimited(1, resource.type_url.encode()) + delimited(2, resource.body)
        entry = delimited(3, resource.name.encode()) + delimited(1, resource.version.encode())
        self._response = (
            delimited(4, resource.type_url.encode())
            + delimited(2, entry + delimited(2, body))
            + delimited(5, b"1")
        )
        for stream in self._streams:
            stream.set()

    async def start(self, address: str, port: int) -> int:
        """Listen; return the port."""
        bound = self._server.add_insecure_port(f"{address}:{port}")
        await self._server.start()
        return int(bound)

    async def stop(self, grace: float) -> None:
        """Close all streams."""
        await self._server.stop(grace)

    async def _serve(self, _: object, context: Context) -> None:
        await context.read()
        wake = asyncio.Event()
        wake.set()
        self._streams.add(wake)
        writer = asyncio.ensure_future(self._write_on(context, wake))
        try:
            while isinstance(await context.read(), bytes):
                pass
        finally:
            writer.cancel()
            self._streams.discard(wake)

    async def _write_on(self, context: Context, wake: asyncio.Event) -> None:
        while True:
            await wake.wait()
            wake.clear()
            await context.write(self._response)


async def _main(path: Path) -> None:
    (edited,) = filter(is_edited, load(path))
    server = PlainServer(edited)
    await serve(server, lambda number: server.put(edit(edited, number)))


if __name__ == "__main__":
    gc_tuning.look_rarely()
    asyncio.run(_main(Path(sys.argv[1])))
