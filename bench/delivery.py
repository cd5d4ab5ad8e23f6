"""How routes reach a proxy: the ways that are measured beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench import workload
from xds.bootstrap import Kind
from xds.compiler.route_sources import RouteDelivery
from xds.pipeline import Audience, Edge, EdgeListener, Proxies, Sidecar, SidecarListeners


@dataclass(frozen=True, slots=True)
class Delivery:
    """One way, and the kind of proxy that is measured with it."""

    routes: RouteDelivery
    kind: Kind

    @property
    def audience(self) -> Audience:
        """What such a proxy is to Grayplane."""
        return Edge(workload.GROUP) if self.kind is Kind.EDGE else Sidecar(workload.GROUP)

    @property
    def listener(self) -> str:
        """The listener that requests come in by."""
        return "edge" if self.kind is Kind.EDGE else "outbound"

    def host(self, number: int) -> str:
        """Name a service as a request through such a proxy does."""
        return workload.host(number) if self.kind is Kind.EDGE else workload.service(number)

    def proxies(self, port: int) -> Proxies:
        """Place the listener at a port of this machine."""
        return Proxies(
            edge=lambda _: EdgeListener("127.0.0.1", port, routes=self.routes),
            sidecar=lambda _: SidecarListeners("127.0.0.1", port, inbound_port=0, routes=self.routes),
        )


DELIVERIES: Mapping[str, Delivery] = {
    delivery.routes: delivery
    for delivery in (
        Delivery(RouteDelivery.SHARED, Kind.EDGE),
        Delivery(RouteDelivery.SCOPED, Kind.EDGE),
        Delivery(RouteDelivery.LAZY, Kind.SIDECAR),
    )
}
