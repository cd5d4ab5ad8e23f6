"""A gRPC server that answers every unary call with its version."""

import asyncio
from typing import Any, Self

import grpc
import grpc.aio


class GrpcServer:
    """One instance of a service on a port of the system's choosing."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.calls = 0
        self.fail = False
        self.delay = 0.0

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Every(self),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    async def answer(self, _: bytes, context: Any) -> bytes:
        self.calls += 1
        await asyncio.sleep(self.delay)
        if self.fail:
            await context.abort(grpc.StatusCode.INTERNAL, "told to fail")
        return self.version.encode()


class _Every(grpc.GenericRpcHandler):
    """Any method of any service."""

    def __init__(self, server: GrpcServer) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(server.answer)

    def service(self, handler_call_details: Any) -> Any:
        return self._handler
