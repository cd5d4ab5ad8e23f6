"""gRPC reflection: what services there are, and all message types of Envoy, for tools such as grpcurl.

Both ``grpc.reflection.v1`` and its older name ``v1alpha`` are served; their messages are the same.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

from xds.wire.descriptors import RpcMethod, new_pool

FILE: FileDescriptor = reflection_pb2.DESCRIPTOR  # type: ignore[assignment]  # its stubs have another

_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)


class Reflection:
    """Describes ``methods``, and the services in ``files``, which come with descriptors of their own."""

    def __init__(self, methods: Iterable[RpcMethod], files: Iterable[FileDescriptor]) -> None:
        methods, files = tuple(methods), (*files, FILE)
        own = (service.full_name for file in files for service in file.services_by_name.values())
        self._known = new_pool(methods, files)
        self._describing = asyncio.Lock()
        services = {*own, *(method.service for method in methods)}
        self._servicer: Any = reflection.aio.ReflectionServicer(services, self._known)

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return what a server must be given."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._answer,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        return tuple(
            grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}) for name in _NAMES
        )

    async def _answer(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for response in self._servicer.ServerReflectionInfo(self._prepared(requests), context):
            yield response

    async def _prepared(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Have descriptors made off the event loop: the first ones of a package take some 100 ms."""
        async for request in requests:
            async with self._describing:
                await asyncio.to_thread(self._describe, request)
            yield request

    def _describe(self, request: Any) -> None:
        with suppress(KeyError):
            if request.file_by_filename:
                self._known.FindFileByName(request.file_by_filename)
            if request.file_containing_symbol:
                self._known.FindFileContainingSymbol(request.file_containing_symbol)
