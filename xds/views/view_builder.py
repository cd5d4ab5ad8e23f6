"""Keeps the view of one node group in step with the services."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping

from xds.cache import Ref, Resource, View
from xds.compiler.route_sources import RouteMode
from xds.type_urls import CLUSTER, ENDPOINT, ROUTE, VIRTUAL_HOST
from xds.views.compiled_service import CompiledService
from xds.views.route_modes import RouteResources, VisibleService, cluster_resources, route_resources
from xds.views.visibility import Visibility

Change = tuple[CompiledService | None, CompiledService | None]
"""A service before and after a change; None where there is none."""

_AT_ONCE = 32
"""Services whose resources are put before the caller may let others run: a few milliseconds."""

_REMOVED_AT_ONCE = 1_000
"""Resources that are removed before the caller may let others run."""

_REMOVED_LAST = {ROUTE: 1, VIRTUAL_HOST: 1, CLUSTER: 2, ENDPOINT: 3}
"""Types that others name: what names them is removed first."""


class ViewBuilder:
    """Puts into a view what its group sees of the services.

    A view has, in every route mode that is served, the routes of the *visible* services, and for make before
    break whatever these require: the clusters of a visible service, and those of any other service that its
    routes name (a *required* service: a mirror's, a fallback's). Required services have clusters and
    endpoints in the view, and no routes.

    Usually one mode is served. After an operator switched a group to another one, the mode before is served
    beside it while proxies drain their old listener (``route_mode_switches``).

    At first the view has no service: all there are come by ``apply``.
    """

    def __init__(
        self,
        visibility: Visibility,
        view: View,
        services: Mapping[str, CompiledService],
        modes: Iterable[RouteMode],
    ) -> None:
        self._visibility = visibility
        self._view = view
        # All services, by name; written by ``Services``, which then calls ``apply``.
        self._services = services
        # By service: how many visible services have routes to it. Written by ``apply``.
        self._requirers: Counter[str] = Counter()
        # The route modes that are served. Written by ``serve``.
        self._modes: dict[RouteMode, RouteResources] = {}
        # What is in the view whatever services there are. Written by ``renew_fixed``.
        self._fixed: set[Ref] = set()
        self.renew_fixed()
        self._modes = self._resources_of(modes)
        self._view.apply(resource for mode in self._modes.values() for resource in mode.fixed())

    def renew_fixed(self) -> None:
        """Put the listeners and what they need as they are now."""
        fixed = list(self._visibility.fixed())
        refs = {resource.ref for resource in fixed}
        self._view.apply(fixed, self._fixed - refs)
        self._fixed = refs

    def apply(self, changes: Mapping[str, Change]) -> Generator[None, None, set[str]]:
        """Bring the view up to date with services that changed, with a pause after every few of them.

        What is new comes first, then the routes that several services share, then the removals: at no pause
        does the view have a route to a cluster that it does not have. Return the names of the services that
        changed and that the view had something of, or has now, and of those that came to be required; there
        is no pause between the view's last change and that.
        """
        requirers: Counter[str] = Counter()
        drop: set[Ref] = set()
        seen: set[str] = set()
        for count, (name, (before, after)) in enumerate(changes.items(), 1):
            was = self._see(before)
            requirers.subtract(was.required_services if was else ())
            requirers.update(self._required_by(after))
            if was or (before and name in self._requirers):
                seen.add(name)
                drop |= self._refs(before, was)
            if count % _AT_ONCE == 0:
                yield
        affected = dict(changes)
        for name, difference in requirers.items():
            was_required, is_required = self._requirers[name] > 0, self._requirers[name] + difference > 0
            if was_required is not is_required and name not in changes:
                service = self._services.get(name)
                affected[name] = service, service
                drop |= self._refs(service, self._see(service)) if was_required else set()
        self._requirers.update(requirers)
        self._requirers += Counter()  # without those that nothing requires any more
        return seen | (yield from self._replace(affected, drop))

    def _replace(self, affected: Mapping[str, Change], drop: set[Ref]) -> Generator[None, None, set[str]]:
        """Put what services have now, then remove of ``drop`` what none has; return those that have any."""
        seen: set[str] = set()
        put: list[Resource] = []
        for count, (name, (before, after)) in enumerate(affected.items(), 1):
            now = self._see(after)
            if now or self._see(before):
                for mode in self._modes.values():
                    mode.set(name, now)
            if now or (after and name in self._requirers):
                seen.add(name)
            put += self._resources(name, after, now).values()
            if count % _AT_ONCE == 0 and count < len(affected):
                drop.difference_update(resource.ref for resource in put)
                self._view.apply(put)
                put.clear()
                yield
        for mode in self._modes.values():
            for resource in mode.of_all():
                if resource is None:
                    yield
                else:
                    put.append(resource)
        drop.difference_update(resource.ref for resource in put)
        removals = sorted(drop, key=lambda ref: _REMOVED_LAST.get(ref.type_url, 0))
        self._view.apply(put, removals[:_REMOVED_AT_ONCE])
        for begin in range(_REMOVED_AT_ONCE, len(removals), _REMOVED_AT_ONCE):
            yield
            self._view.apply((), removals[begin : begin + _REMOVED_AT_ONCE])
        return seen

    def has(self, service: CompiledService | None) -> bool:
        """Whether anything of a service is in the view."""
        return service is not None and (self._see(service) is not None or service.id.name in self._requirers)

    def serve(self, modes: Iterable[RouteMode]) -> None:
        """Have the routes in these modes in the view, and in no others."""
        after = self._resources_of(modes)
        if list(after) == list(self._modes):
            return
        visible = self._visible()
        before = {resource.ref for resource in self._everything(visible)}
        self._modes = after
        put = {resource.ref: resource for resource in self._everything(visible)}
        self._view.apply(put.values(), before - put.keys())

    def _resources_of(self, modes: Iterable[RouteMode]) -> dict[RouteMode, RouteResources]:
        # Lazy first: a cluster that another mode has for all nodes is not on demand.
        order = sorted(modes, key=lambda mode: (mode is not RouteMode.LAZY, mode))
        name = self._visibility.routes_name
        return {mode: self._modes.get(mode) or route_resources(mode, name) for mode in order}

    def _see(self, service: CompiledService | None) -> VisibleService | None:
        return self._visibility.see(service) if service else None

    def _required_by(self, service: CompiledService | None) -> frozenset[str]:
        """Return the other services that a service has routes to, if it is visible."""
        visible = self._see(service)
        return visible.required_services if visible else frozenset()

    def _visible(self) -> dict[str, VisibleService]:
        return {
            name: visible
            for name, service in self._services.items()
            if (visible := self._visibility.see(service))
        }

    def _everything(self, visible: Mapping[str, VisibleService]) -> Iterator[Resource]:
        """Yield all resources of the services; of one that several modes have, the last counts."""
        for mode in self._modes.values():
            yield from mode.fixed()
        for name in {**visible, **self._requirers}:
            yield from self._resources(name, self._services.get(name), visible.get(name)).values()
        for mode in self._modes.values():
            for name, service in visible.items():
                mode.set(name, service)
            yield from filter(None, mode.of_all())

    def _resources(
        self, name: str, service: CompiledService | None, visible: VisibleService | None
    ) -> dict[Ref, Resource]:
        """Return the resources that are one service's own; ``visible`` is what is visible of it."""
        if service is None or (visible is None and name not in self._requirers):
            return {}
        resources: dict[Ref, Resource] = {}
        for mode in self._modes.values():
            own = cluster_resources(service.clusters, service.endpoints, on_demand=mode.clusters_on_demand)
            resources |= {resource.ref: resource for resource in own}
            for route in mode.of_service(name, visible) if visible else ():
                resources[route.ref] = route
        return resources

    def _refs(self, service: CompiledService | None, visible: VisibleService | None) -> set[Ref]:
        """Return what ``_resources`` of a service are called, without making them."""
        if service is None:
            return set()
        refs = {resource.ref for resource in (*service.clusters, *service.endpoints)}
        if visible:
            refs.update(*(mode.refs_of(service.id.name, visible) for mode in self._modes.values()))
        return refs
