"""The access log service (ALS, ``service/accesslog/v3/als.proto``): how long the requests of proxies took.

A proxy that has something to log opens a stream and sends batches; nothing is answered until it closes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from xds.server.authorization import Authorization
from xds.server.limits import Limits
from xds.server.requests import node_of, requests
from xds.server.stream_handler import Context, peer_of
from xds.wire import Node
from xds.wire.descriptors import RpcMethod

METHOD = RpcMethod(
    "envoy.service.accesslog.v3.AccessLogService",
    "StreamAccessLogs",
    "envoy.service.accesslog.v3.StreamAccessLogsMessage",
    "envoy.service.accesslog.v3.StreamAccessLogsResponse",
)


class LoggedRequest(NamedTuple):
    """A request that ended: the cluster it went to, and the milliseconds until the last byte went out.

    ``tags`` are those that the log's configuration asks for (``custom_tags``).
    """

    cluster: str
    milliseconds: float
    tags: Mapping[str, str] = {}


AccessLogObserver = Callable[[Node, tuple[LoggedRequest, ...]], None]
"""Called in the event loop with every batch; must not block."""


class AccessLogs:
    """Serves one stream of access logs after the other."""

    def __init__(
        self, observer: AccessLogObserver, limits: Limits, authorization: Authorization | None
    ) -> None:
        self._observer = observer
        self._limits = limits
        self._authorization = authorization

    async def stream(self, context: Context) -> None:
        """Serve a stream to its end. Raise ``StreamError`` where the client is at fault."""
        node: Node | None = None
        async for request in requests(context, METHOD.request, self._limits):
            if node is None:
                node = node_of(request.identifier.node, self._limits)
                if self._authorization:
                    self._authorization.check(node, peer_of(context))
            self._observer(node, tuple(_logged(request)))


def _logged(request: Any) -> Iterator[LoggedRequest]:
    for entry in request.http_logs.log_entry:
        common = entry.common_properties
        if common.upstream_cluster and common.HasField("time_to_last_downstream_tx_byte"):
            taken = common.time_to_last_downstream_tx_byte
            milliseconds = taken.seconds * 1e3 + taken.nanos / 1e6
            yield LoggedRequest(common.upstream_cluster, milliseconds, dict(common.custom_tags))
