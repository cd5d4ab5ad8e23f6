"""The views there are, by key."""

from collections.abc import Hashable, Iterable, Mapping
from types import MappingProxyType

from xds.cache.resource import Ref, Resource
from xds.cache.view import View


class Cache:
    """Views by keys of the caller's choosing: a node group, a node, anything hashable."""

    def __init__(self) -> None:
        # By key. Written by ``view`` and ``forget``.
        self._views: dict[Hashable, View] = {}

    @property
    def views(self) -> Mapping[Hashable, View]:
        """All views there are; a live, read-only view of them."""
        return MappingProxyType(self._views)

    def view(self, key: Hashable) -> View:
        """Return the view of a key, a new and empty one if there was none."""
        if key not in self._views:
            self._views[key] = View()
        return self._views[key]

    def forget(self, key: Hashable) -> None:
        """Let go of a view that nobody watches; a watched one stays."""
        view = self._views.get(key)
        if view and not view.watched:
            del self._views[key]

    def apply(self, key: Hashable, put: Iterable[Resource] = (), drop: Iterable[Ref] = ()) -> None:
        """Set and remove resources in the view of a key (see ``View.apply``)."""
        self.view(key).apply(put, drop)
