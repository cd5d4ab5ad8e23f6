"""All services, compiled, and the views that audiences see of them. No I/O."""

from collections.abc import Hashable, Mapping

from xds.cache import Cache, View
from xds.pipeline.audience import Audience, Edge, Sidecar
from xds.pipeline.compiled import CompiledService
from xds.pipeline.proxies import Proxies
from xds.pipeline.stage import EdgeCast, SidecarCast, Stage
from xds.protocol.variants import Request


class Plane:
    """Keeps the cache in step with the services.

    A view is made when the first node of its audience appears, and kept up to date while the audience is
    known. A change of a service costs its resources once, plus, for each audience that sees it, the
    routes that audience is sent.
    """

    def __init__(self, cache: Cache, proxies: Proxies) -> None:
        self._cache = cache
        self._proxies = proxies
        self._services: dict[str, CompiledService] = {}
        self._stages: dict[Audience, Stage] = {}

    def service(self, name: str) -> CompiledService | None:
        """Return a service as it is served now."""
        return self._services.get(name)

    def apply(self, services: Mapping[str, CompiledService | None]) -> None:
        """Serve these services from now on as given; None: no more."""
        moves = {name: (self._services.get(name), after) for name, after in services.items()}
        for name, after in services.items():
            if after:
                self._services[name] = after
            else:
                self._services.pop(name, None)
        for stage in self._stages.values():
            stage.apply(moves)

    def view_of(self, audience: Audience) -> View:
        """Return the view of an audience."""
        view = self._cache.view(audience)
        if audience not in self._stages:
            match audience:
                case Edge():
                    self._stages[audience] = Stage(EdgeCast(audience, self._proxies), view, self._services)
                case Sidecar():
                    self._stages[audience] = Stage(SidecarCast(audience, self._proxies), view, self._services)
        return view

    def asked(self, audience: Audience, client: Hashable, request: Request) -> None:
        """Have the routes in the view of an audience that a client of it asks for (``demand``)."""
        if stage := self._stages.get(audience):
            stage.asked(client, request)

    def leave(self, audience: Audience, client: Hashable) -> None:
        """Note that a client is gone; let go of the view unless a node still watches it."""
        self._cache.forget(audience)
        if audience not in self._cache.views:
            self._stages.pop(audience, None)
        elif stage := self._stages.get(audience):
            stage.left(client)
