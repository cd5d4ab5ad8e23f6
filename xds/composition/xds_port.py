"""Composition of the xDS port: what a server of it is given follows from the settings."""

import sys
from collections.abc import Callable, Collection

from xds.server import (
    Authorization,
    ClusterLoad,
    Limits,
    LoadReporting,
    LoggedRequest,
    Observer,
    XdsServer,
)
from xds.server.client_status import OtherStatus
from xds.server.stream_handler import ViewOf
from xds.settings import Settings
from xds.views import GrpcClientGroup, NodeGroup, UnknownNode
from xds.wire import Node

SERVER_PROCESS = (sys.executable, "-P", "-m", "xds.server_process")
"""The command of one of several processes that serve streams; it takes a file descriptor.

``-P``: modules in the directory that the server was started in are none of the program's.
"""


def xds_server(
    settings: Settings,
    view_of: ViewOf,
    observer: Observer,
    *,
    group_of: Callable[[Node], NodeGroup],
    clusters_of: Callable[[str], tuple[str, ...]],
    loads: Callable[[Node, tuple[ClusterLoad, ...]], None],
    requests: Callable[[Node, tuple[LoggedRequest, ...]], None],
    authorization: Authorization | None,
    other_status: OtherStatus | None = None,
) -> XdsServer:
    """Make a server of streams.

    ``clusters_of`` are those of a namespace of which load is to be reported. With ``other_status`` it is one
    of several that share the port.
    """

    def to_report(node: Node) -> Collection[str] | None:
        """Return what a proxy is to report; None: all, which a gRPC client has few of."""
        group = group_of(node)
        wanted = () if isinstance(group, UnknownNode) else clusters_of(group.namespace)
        return None if wanted and isinstance(group, GrpcClientGroup) else wanted

    return XdsServer(
        view_of,
        observer,
        drain=settings.drain.seconds,
        limits=limits_of(settings),
        load_reporting=LoadReporting(loads, settings.rollouts.report_interval, to_report),
        access_logs=requests,
        authorization=authorization,
        share_port=other_status is not None,
        other_status=other_status,
    )


def limits_of(settings: Settings) -> Limits:
    """Return what clients may take."""
    return Limits(**settings.limits.model_dump())
