"""The gRPC face of the protocol: bytes in, protocol, bytes out."""

from xds.errors import BindError
from xds.server.clients import Clients, ClientStatus, TypeStatus
from xds.server.limits import Limits
from xds.server.load_reports import ClusterLoad, LoadReporting, LocalityLoad
from xds.server.observer import Client, Observer
from xds.server.server import XdsServer

__all__ = [
    "BindError",
    "Client",
    "ClientStatus",
    "Clients",
    "ClusterLoad",
    "Limits",
    "LoadReporting",
    "LocalityLoad",
    "Observer",
    "TypeStatus",
    "XdsServer",
]
