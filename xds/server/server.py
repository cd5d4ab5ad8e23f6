"""The gRPC server of all xDS streams."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import structlog

from xds.cache import View
from xds.server.errors import StreamError
from xds.server.limits import DEFAULTS, Limits
from xds.server.observer import Observer
from xds.server.roster import Roster
from xds.server.services import Method, methods
from xds.server.session import Context, Session, Shared
from xds.wire import Node

_log = structlog.get_logger(__name__)


class BindError(Exception):
    """The address cannot be listened on."""


class XdsServer:
    """Serves views to nodes.

    ``view_of`` says which view a node sees. Streams are taken at once, but nothing is answered before
    ``open`` was called: a client would take what is missing from a view half filled as removed.
    ``drain`` is how long a cluster outlives the last route that named it, in seconds.
    """

    def __init__(
        self,
        view_of: Callable[[Node], View],
        observer: Observer,
        *,
        drain: float = 5.0,
        limits: Limits = DEFAULTS,
    ) -> None:
        self._roster = Roster(limits.streams_per_node)
        # One thread: large requests are decoded one after the other, and the event loop runs in between.
        self._executor = ThreadPoolExecutor(1, "xds-decode")
        self._shared = Shared(view_of, observer, drain, limits, self._roster, self._executor)
        self._opened = asyncio.Event()
        self._server = grpc.aio.server(options=_options(limits), maximum_concurrent_rpcs=limits.streams)
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
        for session in self._roster:
            session.finish()
        await self._server.stop(grace)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        for method in methods():
            handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
                self._handler(method)
            )
            by_service.setdefault(method.service, {})[method.name] = handler
        return [grpc.method_handlers_generic_handler(service, named) for service, named in by_service.items()]

    def _handler(self, method: Method) -> Callable[[Any, Any], Awaitable[None]]:
        async def handle(_: Any, context: Context) -> None:
            await self._opened.wait()
            ending = await self._run(Session(method, context, self._shared), context)
            if ending:
                # Waits for a client that does not read, with nothing left of the session by then.
                with suppress(grpc.aio.InternalError):  # the client is gone
                    await context.abort(ending.code, ending.details)

        return handle

    async def _run(self, session: Session, context: Context) -> StreamError | None:
        try:
            await session.run()
        except StreamError as error:
            _log.warning("ended a stream", peer=context.peer(), status=error.code.name, reason=error.details)
            return error.with_traceback(None)
        except Exception:  # noqa: BLE001  # one stream's failure is no other's; it is logged whole
            _log.exception("a stream failed", peer=context.peer())
            return StreamError(grpc.StatusCode.INTERNAL, "the server failed; its log says why")
        return None


def _options(limits: Limits) -> list[tuple[str, int]]:
    options: dict[str, float | None] = {
        # Two servers on one port would share its clients without a word.
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": limits.message_bytes,
        "grpc.max_concurrent_streams": limits.streams_per_node,
        "grpc.http2.min_ping_interval_without_data_ms": _ms(limits.client_ping_interval),
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.keepalive_time_ms": _ms(limits.keepalive),
        "grpc.keepalive_timeout_ms": _ms(limits.keepalive_timeout),
        "grpc.max_connection_idle_ms": _ms(limits.connection_idle),
        "grpc.max_connection_age_ms": _ms(limits.connection_age),
    }
    return [(name, int(value)) for name, value in options.items() if value is not None]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
