"""What a client wants of one type."""

from collections.abc import Collection, Iterable

from xds.cache import Ref, Resource, View
from xds.protocol.names import glob_of, is_glob


class Wishes:
    """Names as the client wrote them (a resource's name, an alias, a glob), or ``everything`` (``*``)."""

    __slots__ = ("_view", "everything", "explicit", "names", "type_url")

    def __init__(self, type_url: str, view: View) -> None:
        self.type_url = type_url
        self.everything = False
        self.names: set[str] = set()
        self.explicit = False
        """Whether the client ever named anything, be it ``*``."""
        self._view = view

    def wants(self, resource: Resource) -> bool:
        """Whether the client wants this, by name, alias or glob, or under the wildcard."""
        if self.everything and not resource.on_demand:
            return True
        return bool(self.names) and (
            resource.name in self.names
            or not self.names.isdisjoint(resource.aliases)
            or glob_of(resource.name) in self.names
        )

    def among(self, names: Collection[str]) -> Iterable[str]:
        """Return those of the resources with these names that the client may want, or more.

        Costs the names or the wishes, whichever are fewer.
        """
        if self.everything or len(names) <= len(self.names) or self._view.has_aliases(self.type_url):
            return names
        return names if any(map(is_glob, self.names)) else [name for name in self.names if name in names]

    def target(self, name: str) -> Resource | None:
        """Return what the client is to hold of the resource with this name."""
        resource = self._view.lookup(self.type_url, name)
        return resource if resource and self.wants(resource) else None

    def version_of(self, target: Resource) -> str:
        """Return the version by which the client is to know what it is to hold."""
        return self._view.version_of(target)

    def matches(self, name: str) -> list[Resource]:
        """Return what the view holds that the client may call by this name."""
        if is_glob(name):
            everything = self._view.resources(self.type_url).values()
            return [resource for resource in everything if glob_of(resource.name) == name]
        return self._view.named(Ref(self.type_url, name))

    def wanted(self, name: str) -> list[Resource]:
        """Return what the client wants of what it may call by this name."""
        return [resource for resource in self.matches(name) if self.wants(resource)]
