"""Which kinds of routes the clients of an audience ask for.

An operator may switch a group from shared routes to scoped or lazy ones while its proxies run. A proxy then
gets a new listener, but lets the connections of the old one come to their end, for up to ten minutes
(Envoy's ``--drain-time-s``), and these need routes of the old kind until then. A proxy shows this by what
it subscribes to.
"""

from collections.abc import Hashable, Iterable

from xds.compiler.route_sources import RouteDelivery, routes_name
from xds.protocol.variants import Request
from xds.type_urls import ROUTE, SCOPED_ROUTE
from xds.wire import DeltaRequest

_OF_ROUTES = frozenset({ROUTE, SCOPED_ROUTE})


def concerns_routes(request: Request) -> bool:
    """Whether a request may tell which kind of routes a client asks for; a mere acknowledgement does not."""
    if request.type_url not in _OF_ROUTES:
        return False
    return not (isinstance(request, DeltaRequest) and request.response_nonce and not request.asks)


class Demand:
    """Which kinds each client wants, beside the ``usual`` one; ``name`` is that of the listener's routes."""

    def __init__(self, name: str, usual: RouteDelivery) -> None:
        self._usual = frozenset({usual})
        self._kind_of = {routes_name(kind, name): kind for kind in (RouteDelivery.SHARED, RouteDelivery.LAZY)}
        self._wanted: dict[Hashable, frozenset[RouteDelivery]] = {}

    @property
    def kinds(self) -> frozenset[RouteDelivery]:
        """All kinds that any client wants, the usual one included."""
        return self._usual.union(*self._wanted.values())

    def note(self, client: Hashable, request: Request) -> None:
        """Take note of what a request says."""
        wanted = self._wanted.get(client, frozenset())
        if request.type_url == SCOPED_ROUTE:
            wanted |= {RouteDelivery.SCOPED}
        elif isinstance(request, DeltaRequest):
            wanted = (wanted - self._kinds(request.unsubscribe)) | self._kinds(request.subscribe)
        else:
            wanted = (wanted - self._kinds(self._kind_of)) | self._kinds(request.resource_names)
        self._keep(client, wanted - self._usual)

    def leave(self, client: Hashable) -> None:
        """Take note that a client is gone."""
        self._keep(client, frozenset())

    def _kinds(self, names: Iterable[str]) -> frozenset[RouteDelivery]:
        return frozenset(self._kind_of[name] for name in names if name in self._kind_of)

    def _keep(self, client: Hashable, kinds: frozenset[RouteDelivery]) -> None:
        if kinds:
            self._wanted[client] = kinds
        else:
            self._wanted.pop(client, None)
