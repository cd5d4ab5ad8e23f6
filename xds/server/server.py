"""The gRPC server of all xDS streams."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from xds.cache import View
from xds.server.observer import Observer
from xds.server.services import Method, methods
from xds.server.session import RequestError, Session
from xds.wire import Node

_OPTIONS = (
    # Two servers on one port would share its clients without a word.
    ("grpc.so_reuseport", 0),
    # Clients ping to find dead connections, Envoy's bootstraps here every 30 s; the default of gRPC takes
    # pings more often than every 5 min for abuse and closes the connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # And we ping them, to be rid of the streams of machines that vanished.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_receive_message_length", 16 << 20),
)


class BindError(Exception):
    """The address cannot be listened on."""


class XdsServer:
    """Serves views to nodes.

    ``view_of`` says which view a node sees. Streams are taken at once, but nothing is answered before
    ``open`` was called: a client would take what is missing from a view half filled as removed.
    ``drain`` is how long a cluster outlives the last route that named it, in seconds.
    """

    def __init__(self, view_of: Callable[[Node], View], observer: Observer, *, drain: float = 5.0) -> None:
        self._view_of = view_of
        self._observer = observer
        self._drain = drain
        self._opened = asyncio.Event()
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(tuple(self._handlers()))

    async def start(self, address: str, port: int) -> int:
        """Listen; return the port, which the system chooses if 0 is given. Raise ``BindError``."""
        host = f"[{address}]" if ":" in address else address
        try:
            bound = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise BindError(f"cannot listen on {host}:{port}: is another program using the port?") from error
        await self._server.start()
        return int(bound)

    def open(self) -> None:
        """Begin to answer."""
        self._opened.set()

    async def stop(self, grace: float = 0.5) -> None:
        """Close all streams, cleanly within ``grace`` seconds. Clients keep what they have."""
        await self._server.stop(grace)

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        for method in methods():
            handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
                self._handler(method)
            )
            by_service.setdefault(method.service, {})[method.name] = handler
        return [grpc.method_handlers_generic_handler(service, named) for service, named in by_service.items()]

    def _handler(self, method: Method) -> Callable[[Any, Any], Awaitable[None]]:
        async def handle(_: Any, context: Any) -> None:
            await self._opened.wait()
            try:
                await Session(method, context, self._view_of, self._observer, self._drain).run()
            except RequestError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

        return handle
