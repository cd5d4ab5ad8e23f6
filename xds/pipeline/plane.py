"""All services, compiled, and the views that audiences see of them. No I/O."""

from collections.abc import Hashable, Iterable, Iterator, Mapping

from xds.cache import Cache, View
from xds.pipeline.audience import Audience, Edge, Sidecar
from xds.pipeline.compiled import CompiledService
from xds.pipeline.mesh_names import MeshNames
from xds.pipeline.proxies import Proxies
from xds.pipeline.stage import EdgeCast, Move, SidecarCast, Stage
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
        self._names = MeshNames()
        self._seen: dict[str, CompiledService] = {}
        self._stages: dict[Audience, Stage] = {}

    def service(self, name: str) -> CompiledService | None:
        """Return a service as it is known now."""
        return self._services.get(name)

    def is_seen(self, name: str) -> bool:
        """Whether proxies see a service, or its name keeps them from it (``mesh_names``)."""
        return name in self._seen

    def apply(self, services: Mapping[str, CompiledService | None]) -> None:
        """Serve these services from now on as given; None: no more."""
        for name, after in services.items():
            if after:
                self._services[name] = after
                self._names.set(name, ruled=after.ruled)
            else:
                self._services.pop(name, None)
                self._names.remove(name)
        moves = dict(self._moves(services))
        for name, (_, now) in moves.items():
            if now:
                self._seen[name] = now
            else:
                self._seen.pop(name, None)
        for stage in self._stages.values():
            stage.apply(moves)

    def _moves(self, names: Iterable[str]) -> Iterator[tuple[str, Move]]:
        """Yield what changes in sight: the services themselves, and others called like them."""
        affected = {alike for name in names for alike in (name, *self._names.alike(name))}
        for name in sorted(affected):
            before = self._seen.get(name)
            after = self._services.get(name) if self._names.seen(name) == name else None
            if before is not after:
                yield name, (before, after)

    def view_of(self, audience: Audience) -> View:
        """Return the view of an audience."""
        view = self._cache.view(audience)
        if audience not in self._stages:
            match audience:
                case Edge():
                    self._stages[audience] = Stage(EdgeCast(audience, self._proxies), view, self._seen)
                case Sidecar():
                    self._stages[audience] = Stage(SidecarCast(audience, self._proxies), view, self._seen)
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
