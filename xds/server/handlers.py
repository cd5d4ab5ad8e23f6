"""The gRPC handlers of a server: bytes in and out, and one way to end for all that goes wrong."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import grpc
import grpc.aio
import structlog

from xds.out_of_memory import tell_if_out_of_memory
from xds.server.errors import StreamError
from xds.server.stream_handler import Context
from xds.wire.descriptors import RpcMethod

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Handlers:
    """Collects methods. What a method raises ends that call alone, and no traceback reaches a client."""

    def __init__(self) -> None:
        # What was added, in order, and the handlers by service and method. Written by ``_add``.
        self._methods: list[RpcMethod] = []
        self._by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}

    @property
    def methods(self) -> tuple[RpcMethod, ...]:
        """What was added."""
        return tuple(self._methods)

    @property
    def services(self) -> tuple[str, ...]:
        """The services of what was added."""
        return tuple(self._by_service)

    def add_stream(self, method: RpcMethod, serve: Callable[[Context], Awaitable[None]]) -> None:
        """Have a streaming method served by a coroutine that reads and writes."""

        async def handle(_: Any, context: Context) -> None:
            await _guarded(serve(context), context)

        self._add(method, grpc.stream_stream_rpc_method_handler(handle))

    def add_unary(self, method: RpcMethod, serve: Callable[[bytes, Context], Awaitable[bytes]]) -> None:
        """Have a method with one request and one response served by a coroutine."""

        async def handle(request: bytes, context: Context) -> bytes | None:
            return await _guarded(serve(request, context), context)

        self._add(method, grpc.unary_unary_rpc_method_handler(handle))

    def generic(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return what a server must be given."""
        return tuple(
            grpc.method_handlers_generic_handler(service, named)
            for service, named in self._by_service.items()
        )

    def _add(self, method: RpcMethod, handler: "grpc.RpcMethodHandler[Any, Any]") -> None:
        self._methods.append(method)
        self._by_service.setdefault(method.service, {})[method.name] = handler


async def _guarded(serving: Awaitable[T], context: Context) -> T | None:
    try:
        return await serving
    except StreamError as error:
        _log.warning("ended a call", peer=context.peer(), status=error.code.name, reason=error.details)
        ending = error.with_traceback(None)
    except Exception as error:  # noqa: BLE001  # one call's failure is no other's; it is logged whole
        _log.exception("a call failed", peer=context.peer())
        tell_if_out_of_memory(error)
        ending = StreamError(grpc.StatusCode.INTERNAL, "the server failed; its log says why")
    with suppress(grpc.aio.InternalError):  # the client is gone
        # Waits for a client that does not read, with nothing left of the call by then but its status.
        await context.abort(ending.code, ending.details)
    return None
