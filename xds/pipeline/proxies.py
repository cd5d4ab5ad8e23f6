"""Where the proxies of each group listen, as the operator set it."""

from collections.abc import Callable
from dataclasses import dataclass

from xds.compiler.route_sources import RouteDelivery


@dataclass(frozen=True, slots=True)
class EdgeListener:
    """The one listener of an edge proxy; ``access_log`` is a path on the proxy's machine."""

    address: str
    port: int
    access_log: str | None = None
    routes: RouteDelivery = RouteDelivery.SHARED


@dataclass(frozen=True, slots=True)
class SidecarListeners:
    """The two listeners of a sidecar; ``access_log`` is a path on the proxy's machine."""

    address: str
    outbound_port: int
    inbound_port: int
    access_log: str | None = None
    routes: RouteDelivery = RouteDelivery.SHARED


@dataclass(frozen=True, slots=True)
class Proxies:
    """Looks up the listeners of a proxy group (Envoy's ``node.cluster``)."""

    edge: Callable[[str], EdgeListener]
    sidecar: Callable[[str], SidecarListeners]
