"""How routes reach a proxy: the ways that are measured beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench import workload
from xds.bootstrap import BootstrapKind
from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.compiler.route_sources import RouteMode
from xds.views import EdgeGroup, ListenerSettings, NodeGroup, SidecarGroup


@dataclass(frozen=True, slots=True)
class Delivery:
    """One way, and the kind of proxy that is measured with it."""

    routes: RouteMode
    kind: BootstrapKind

    @property
    def group(self) -> NodeGroup:
        """The node group of such a proxy."""
        return EdgeGroup(workload.GROUP) if self.kind is BootstrapKind.EDGE else SidecarGroup(workload.GROUP)

    @property
    def listener(self) -> str:
        """The listener that requests come in by."""
        return "edge" if self.kind is BootstrapKind.EDGE else "outbound"

    def host(self, number: int) -> str:
        """Name a service as a request through such a proxy does."""
        return workload.host(number) if self.kind is BootstrapKind.EDGE else workload.service(number)

    def listeners(self, port: int) -> ListenerSettings:
        """Place the listener at a port of this machine."""
        return ListenerSettings(
            edge=lambda _: EdgeListener("127.0.0.1", port, routes=self.routes),
            sidecar=lambda _: SidecarListeners("127.0.0.1", port, inbound_port=0, routes=self.routes),
        )


DELIVERIES: Mapping[str, Delivery] = {
    delivery.routes: delivery
    for delivery in (
        Delivery(RouteMode.SHARED, BootstrapKind.EDGE),
        Delivery(RouteMode.SCOPED, BootstrapKind.EDGE),
        Delivery(RouteMode.LAZY, BootstrapKind.SIDECAR),
    )
}
