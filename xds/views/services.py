"""All services, compiled, and the views that node groups have of them. No I/O, no clock."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from typing import Protocol

from xds.cache import Cache, Ref, Resource, View
from xds.documents import Origin
from xds.rules.instance import ServiceId
from xds.views.compiled_service import CompiledService
from xds.views.grpc_client_view import GrpcClientViewBuilder
from xds.views.listener_settings import ListenerSettings
from xds.views.mesh_names import MeshNames
from xds.views.node_group import EdgeGroup, GrpcClientGroup, NodeGroup, SidecarGroup
from xds.views.route_mode_switches import RouteModeSwitches, mode_key
from xds.views.view_builder import Change, ViewBuilder
from xds.views.visibility import Lanes, visibility_of


class ViewChanged(Protocol):
    """Told of changes of views."""

    def __call__(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        """Take a change of the view of a group, with its generation after the change.

        ``services`` are those that changed in it, with the versions of documents that they were made from
        before and are made from now. Without ``sent`` their resources, and so the generation, are the same.
        """
        ...


class ViewsKept(Protocol):
    """Told which groups have a view."""

    def __call__(self, group: NodeGroup, *, kept: bool) -> None:
        """Learn that the view of a group is made, or (not ``kept``) forgotten."""
        ...


def _nothing(group: NodeGroup, *, kept: bool) -> None:
    pass


def _nobody(
    group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
) -> None:
    pass


_Builder = ViewBuilder | GrpcClientViewBuilder
_NO_LANES = Lanes()


_AT_ONCE = 256
"""Services that are looked at before the caller may let others run: a millisecond."""


class Services:
    """Keeps the views of the cache in step with the services.

    A view is made when the first node of its group appears and kept up to date until the last one is gone. A
    change of a service costs its resources once, and for each group that sees it the routes of that group.
    """

    def __init__(
        self,
        cache: Cache,
        settings: ListenerSettings,
        switches: RouteModeSwitches | None = None,
        changed: ViewChanged = _nobody,
        kept: ViewsKept = _nothing,
    ) -> None:
        self._cache = cache
        self._settings = settings
        self._changed = changed
        self._kept = kept
        self.switches = switches or RouteModeSwitches()
        # By name and cohort.
        self._namespaces: dict[tuple[str, int], _Namespace] = {}
        # By group, for every group that has a view. Written by ``view_of`` and ``leave``.
        self._builders: dict[NodeGroup, _Builder] = {}
        # How often services were changed. Written by ``apply``.
        self.changes = 0
        # By namespace. Written by ``set_lanes``.
        self._lanes: dict[str, Lanes] = {}

    def get(self, service: ServiceId) -> CompiledService | None:
        """Return a service as it is now."""
        return self._namespace(service.namespace).services.get(service.name)

    def is_visible(self, service: ServiceId) -> bool:
        """Whether nodes may see a service, or its name keeps them from it (``mesh_names``)."""
        return service.name in self._namespace(service.namespace).visible

    def apply(self, services: Mapping[ServiceId, CompiledService | None], cohort: int = 0) -> Iterator[None]:
        """Serve these services from now on as given (None: no more), with a pause after every few of them.

        Only the nodes of one cohort are; in groups without stages all nodes are in cohort 0.

        Nothing else may be applied before the iterator is at its end. A view that is made in a pause has the
        services as they are at the end.
        """
        self.changes += 1
        by_namespace: dict[str, dict[str, CompiledService | None]] = {}
        for service, compiled in services.items():
            by_namespace.setdefault(service.namespace, {})[service.name] = compiled
        for name, named in by_namespace.items():
            changes: dict[str, Change] = {}
            yield from self._namespace(name, cohort).apply(named, changes)
            for group, builder in tuple(self._builders.items()):
                if changes and _place_of(group) == (name, cohort):
                    yield from self._apply(group, builder, changes)
            yield from _release(changes)

    def _apply(self, group: NodeGroup, builder: _Builder, changes: Mapping[str, Change]) -> Iterator[None]:
        view = self._cache.view(group)
        yield from view.fill()
        before = view.generation
        namespace = group.namespace
        services: dict[ServiceId, frozenset[Origin]] = {}
        for count, (name, change) in enumerate(changes.items(), 1):
            services[ServiceId(namespace, name)] = _origins(change)
            if count % _AT_ONCE == 0:
                yield
        affected = yield from builder.apply(changes)
        sent = view.generation > before
        if sent or affected:
            # No pause before this: it must be told before any client answers the last change of the view.
            visible = self._namespace(namespace, group.cohort).visible
            for name in changes.keys() - affected:
                del services[ServiceId(namespace, name)]
            for name in affected - changes.keys():
                services[ServiceId(namespace, name)] = _origins((None, visible.get(name)))
            self._changed(group, view.generation, services, sent=sent)

    def view(self, group: NodeGroup) -> View | None:
        """Return the view of a group, None if no node of it is there."""
        return self._cache.views.get(group)

    def resource(self, group: NodeGroup, ref: Ref) -> Resource | None:
        """Return a resource of the view of a group, None if there is none."""
        view = self.view(group)
        return view.get(ref) if view else None

    def shows(self, group: NodeGroup, service: ServiceId) -> bool:
        """Whether the view of a group has anything of a service."""
        builder, place = self._builders.get(group), _place_of(group)
        if builder is None or place is None or place[0] != service.namespace:
            return False
        return builder.has(self._namespace(*place).visible.get(service.name))

    def is_before(self, group: NodeGroup, service: ServiceId) -> bool:
        """Whether a cohort is served another version of a service than the first cohort is."""
        place = _place_of(group)
        if place is None or place[1] == 0:
            return False
        first, own = self.get(service), self._namespace(*place).services.get(service.name)
        return (first and first.origins) != (own and own.origins)

    def groups_of(self, service: ServiceId) -> list[NodeGroup]:
        """Return the groups with a view that has something of a service."""
        return [group for group in self._builders if self.shows(group, service)]

    def view_of(self, group: NodeGroup, now: float) -> View:
        """Return the view of a group, of which a node opens a stream at ``now`` (seconds since the epoch).

        The caller watches it at once, and then has to ``fill`` it: a new one has no services yet.
        """
        view, place = self._cache.view(group), _place_of(group)
        if group in self._builders or place is None:
            return view
        visible = self._namespace(*place).visible
        match group:
            case EdgeGroup() | SidecarGroup():
                visibility = visibility_of(group, self._settings, lambda: self._lanes_of(group))
                modes = self.switches.modes(mode_key(group), visibility.mode, now)
                self._builders[group] = ViewBuilder(visibility, view, visible, modes)
            case GrpcClientGroup():
                self._builders[group] = GrpcClientViewBuilder(group, view)
        self._kept(group, kept=True)
        added: dict[str, Change] = {name: (None, service) for name, service in visible.items()}
        view.fill_by(self._builders[group].apply(added))
        return view

    def renew_listeners(self) -> None:
        """Bring the listeners and certificates of all views up to date with what the settings say now."""
        for group in tuple(self._builders):
            self._renew_listeners(group)

    def set_lanes(self, namespace: str, lanes: Lanes) -> None:
        """Have the edges of a namespace take requests into these lanes from now on."""
        if self._lanes.get(namespace, _NO_LANES) != lanes:
            self._lanes[namespace] = lanes
            for group in tuple(self._builders):
                if isinstance(group, EdgeGroup) and group.namespace == namespace:
                    self._renew_listeners(group)

    def _renew_listeners(self, group: NodeGroup) -> None:
        builder = self._builders[group]
        if isinstance(builder, ViewBuilder):
            view = self._cache.view(group)
            before = view.generation
            builder.renew_fixed()
            if view.generation > before:
                self._changed(group, view.generation, {}, sent=True)

    def _lanes_of(self, group: EdgeGroup | SidecarGroup) -> Lanes:
        return self._lanes.get(group.namespace, _NO_LANES)

    def leave(self, group: NodeGroup) -> None:
        """Forget the view of a group unless a node still watches it."""
        self._cache.forget(group)
        if group not in self._cache.views and group in self._builders:
            del self._builders[group]
            self._kept(group, kept=False)

    def leave_unwatched(self) -> None:
        """Forget the views that no node watches."""
        for group in tuple(self._builders):
            self.leave(group)

    def expire_modes(self, now: float) -> float | None:
        """Stop serving route modes that groups were switched from; return when to call this again."""
        ended = self.switches.expire(now)
        for group, builder in self._builders.items():
            if (
                isinstance(builder, ViewBuilder)
                and isinstance(group, EdgeGroup | SidecarGroup)
                and (modes := ended.get(mode_key(group)))
            ):
                self._cache.view(group).filled()
                builder.serve(modes)
        return self.switches.next_expiry

    def _namespace(self, name: str, cohort: int = 0) -> "_Namespace":
        key = name, cohort
        if key not in self._namespaces:
            self._namespaces[key] = _Namespace()
        return self._namespaces[key]


class _Namespace:
    """The services of one namespace."""

    def __init__(self) -> None:
        # Who has which name in the mesh. Written by ``apply``.
        self._names = MeshNames()
        # All services, by name. Written by ``apply``, as is ``visible``.
        self.services: dict[str, CompiledService] = {}
        # Those that nodes may see; the builders of views hold on to this dict.
        self.visible: dict[str, CompiledService] = {}

    def apply(
        self, services: Mapping[str, CompiledService | None], changes: dict[str, Change]
    ) -> Iterator[None]:
        """Change services, with pauses; add the changes of those that are, or were, visible."""
        affected: set[str] = set(services)
        for count, (name, after) in enumerate(services.items(), 1):
            affected |= self._names.rivals(name)
            if after:
                self.services[name] = after
                self._names.set(name, after.mesh_names, has_rule=after.has_rule)
            else:
                self.services.pop(name, None)
                self._names.remove(name)
            affected |= self._names.rivals(name)
            if count % _AT_ONCE == 0:
                yield
        for count, name in enumerate(sorted(affected), 1):
            before, after = self.visible.get(name), self._seen(name)
            if before is not after and (name in services or before != after):
                changes[name] = (before, after)
            if count % _AT_ONCE == 0:
                yield
        for name, (_, now) in changes.items():
            if now:
                self.visible[name] = now
            else:
                del self.visible[name]

    def _seen(self, name: str) -> CompiledService | None:
        """Return a service with those of its names that it has, None if it has none."""
        service, names = self.services.get(name), self._names.of(name)
        if service is None or not names:
            return None
        return service if service.mesh_names == names else replace(service, mesh_names=names)


def _release(changes: dict[str, Change]) -> Iterator[None]:
    """Let go of changes with pauses: to free thousands of services takes longer than others may wait."""
    while changes:
        for _ in range(min(_AT_ONCE, len(changes))):
            changes.popitem()
        yield


def _origins(change: Change) -> frozenset[Origin]:
    return frozenset(origin for service in change if service for origin in service.origins)


def _place_of(group: NodeGroup) -> tuple[str, int] | None:
    """Return the namespace and cohort of a group, None if it sees nothing."""
    if isinstance(group, EdgeGroup | SidecarGroup | GrpcClientGroup):
        return group.namespace, group.cohort
    return None
