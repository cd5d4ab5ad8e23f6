"""A gRPC service that says which version answered, with methods of every kind; bytes in, bytes out."""

from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
import grpc.aio

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

SERVICE = "shop.Reviews"


class GrpcUpstream:
    """One instance on a free port of 127.0.0.1, without TLS.

    ``Get`` echoes with trailers; ``List`` streams three answers; ``Chat`` echoes each message as it comes;
    ``Fail`` ends with FAILED_PRECONDITION and details. ``Get`` ends with ``status`` if that is not OK.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.status = grpc.StatusCode.OK

    async def __aenter__(self) -> "GrpcUpstream":
        self._server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Get": grpc.unary_unary_rpc_method_handler(self._get),
            "List": grpc.unary_stream_rpc_method_handler(self._list),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    async def _get(self, request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata((("x-version", self.version),))
        if self.status is not grpc.StatusCode.OK:
            await context.abort(self.status, "told to")
        return request

    async def _list(self, request: bytes, context: Context) -> None:
        for number in range(3):
            await context.write(request + str(number).encode())

    async def _chat(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async for message in requests:
            await context.write(message)

    async def _fail(self, request: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "out of stock: 木")
        raise AssertionError("abort raises")
