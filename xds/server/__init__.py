"""The gRPC face of the protocol: bytes in, protocol, bytes out."""

from xds.errors import BindError
from xds.server.access_logs import LoggedRequest
from xds.server.authorization import Authorization, Grant
from xds.server.limits import Limits
from xds.server.load_reports import ClusterLoad, LoadReporting, LocalityLoad, Metric
from xds.server.observer import LogObserver, Observer, Peer, StreamInfo, few_of
from xds.server.revocation import RevocationList
from xds.server.server import XdsServer
from xds.server.tls import TlsError, TlsFiles

__all__ = [
    "Authorization",
    "BindError",
    "ClusterLoad",
    "Grant",
    "Limits",
    "LoadReporting",
    "LocalityLoad",
    "LogObserver",
    "LoggedRequest",
    "Metric",
    "Observer",
    "Peer",
    "RevocationList",
    "StreamInfo",
    "TlsError",
    "TlsFiles",
    "XdsServer",
    "few_of",
]
