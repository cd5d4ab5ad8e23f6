"""The gRPC server of all xDS streams."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import grpc.aio

from xds.errors import BindError
from xds.server import access_logs as access_log_service
from xds.server import client_status, health, load_reports
from xds.server.access_logs import AccessLogObserver, AccessLogs
from xds.server.authorization import Authorization
from xds.server.client_status import ClientStatusDiscovery, OtherStatus
from xds.server.coalescer import ChangeCoalescers
from xds.server.decoder import RequestDecoder
from xds.server.handlers import Handlers
from xds.server.health import Health
from xds.server.limits import AGE_GRACE, DEFAULTS, Limits
from xds.server.load_reports import LoadReporting, LoadReports
from xds.server.observer import LogObserver, Observer
from xds.server.open_streams import OpenStreams
from xds.server.reflection import Reflection
from xds.server.services import DiscoveryMethod, methods
from xds.server.stream_handler import Context, ServerState, StreamHandler, ViewOf
from xds.server.tls import TlsFiles, grpc_credentials


class XdsServer:
    """Serves views to nodes.

    ``view_of`` says which view a node sees, at once or when it is awaited. Streams are accepted at once, but
    nothing is answered before ``open`` is called: a client would take what is missing in a half filled view
    for removed. ``observer`` is told of streams and answers; without one, they are logged. ``drain`` is for
    how long a cluster stays after the last route that named it, in seconds. Load reports are accepted if
    ``load_reporting`` says who wants them, access logs if ``access_logs`` does. ``authorization`` decides
    which node a client may be; without it, any client may be any node. With ``share_port`` other servers may
    listen on the same port, and the system gives each of them a share of the connections; ``other_status``
    answers for their clients.

    Besides discovery it serves client status (CSDS), gRPC health and reflection.
    """

    def __init__(
        self,
        view_of: ViewOf,
        observer: Observer | None = None,
        *,
        drain: float = 5.0,
        limits: Limits = DEFAULTS,
        load_reporting: LoadReporting | None = None,
        access_logs: AccessLogObserver | None = None,
        authorization: Authorization | None = None,
        share_port: bool = False,
        other_status: OtherStatus | None = None,
    ) -> None:
        self._open_streams = OpenStreams(limits.streams_per_node)
        # One thread: large requests are decoded one after the other, and the event loop runs in between.
        self._executor = ThreadPoolExecutor(1, "xds-decode")
        # What every stream is given.
        self._state = ServerState(
            view_of,
            observer or LogObserver(),
            authorization,
            drain,
            limits,
            self._open_streams,
            ChangeCoalescers(),
        )
        # Set once streams are answered. Written by ``open``.
        self._opened = asyncio.Event()
        self._server = grpc.aio.server(
            options=_options(limits, share_port=share_port), maximum_concurrent_rpcs=limits.streams
        )
        handlers = Handlers()
        for method in methods():
            handlers.add_stream(method.rpc, self._discovery(method))
        status = ClientStatusDiscovery(self._open_streams, limits, authorization, other_status)
        self.client_status = status.own
        handlers.add_stream(client_status.STREAM, status.stream)
        handlers.add_unary(client_status.FETCH, status.fetch)
        self._load_reports = LoadReports(load_reporting, limits, authorization) if load_reporting else None
        if self._load_reports:
            handlers.add_stream(load_reports.METHOD, self._load_reports.stream)
        if access_logs:
            handlers.add_stream(
                access_log_service.METHOD, AccessLogs(access_logs, limits, authorization).stream
            )
        self._health = Health(self._server, handlers.services, self._opened)
        reflection = Reflection(handlers.methods, [health.FILE])
        self._server.add_generic_rpc_handlers((*handlers.generic(), *reflection.handlers()))

    async def start(self, address: str, port: int, tls: TlsFiles | None = None) -> int:
        """Listen, with TLS if its files are given. Return the port; the system chooses one if 0 is given.

        Raise ``BindError`` or ``TlsError``.
        """
        host = f"[{address}]" if ":" in address else address
        credentials = grpc_credentials(tls) if tls else None
        try:
            if credentials:
                bound = self._server.add_secure_port(f"{host}:{port}", credentials)
            else:
                bound = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise BindError(f"cannot listen on {host}:{port}: is another program using the port?") from error
        await self._health.begin()
        await self._server.start()
        return int(bound)

    def open(self) -> None:
        """Begin to answer."""
        self._opened.set()

    def load_wanted_changed(self) -> None:
        """Say that ``LoadReporting.clusters`` may answer something else than before."""
        if self._load_reports:
            self._load_reports.changed()

    @property
    def serving(self) -> bool:
        """Whether it answers yet."""
        return self._opened.is_set()

    @property
    def pushes(self) -> int:
        """How many responses were sent since the start."""
        return self._open_streams.written

    def end_revoked(self) -> None:
        """End the streams of clients whose certificate was taken back meanwhile."""
        authorization = self._state.authorization
        for stream in self._open_streams:
            if authorization and authorization.is_revoked(stream.info.peer):
                stream.finish()

    async def stop(self, grace: float = 0.5) -> None:
        """Close all streams, cleanly within ``grace`` seconds. Clients keep what they have."""
        await self._health.end()
        for stream in self._open_streams:
            stream.finish()
        await self._server.stop(grace)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _discovery(self, method: DiscoveryMethod) -> Callable[[Context], Awaitable[None]]:
        decoder = RequestDecoder(method, self._state.limits, self._executor)

        async def serve(context: Context) -> None:
            await self._opened.wait()
            await StreamHandler(decoder, context, self._state).run()

        return serve


def _options(limits: Limits, *, share_port: bool) -> list[tuple[str, int]]:
    options: dict[str, float | None] = {
        # By default two servers on one port share its clients without a word.
        "grpc.so_reuseport": int(share_port),
        "grpc.max_receive_message_length": limits.message_bytes,
        "grpc.max_concurrent_streams": limits.streams_per_node,
        # Further streams on a connection, beside those that are reset and not cleaned up yet, are refused.
        "grpc.http.overload_protection": 1,
        # More than streams: who has one too many is told so.
        "grpc.max_allowed_incoming_connections": 2 * limits.streams + 64,
        "grpc.server_handshake_timeout_ms": _ms(limits.first_request),
        "grpc.http2.min_ping_interval_without_data_ms": _ms(limits.client_ping_interval),
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.keepalive_time_ms": _ms(limits.keepalive),
        "grpc.keepalive_timeout_ms": _ms(limits.keepalive_timeout),
        "grpc.max_connection_idle_ms": _ms(limits.connection_idle),
        "grpc.max_connection_age_ms": _ms(limits.connection_age),
        "grpc.max_connection_age_grace_ms": _ms(limits.connection_age and limits.connection_age * AGE_GRACE),
    }
    return [(name, int(value)) for name, value in options.items() if value is not None]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
