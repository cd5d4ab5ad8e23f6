"""The names that a client subscribes to, of one type."""

from collections.abc import Collection, Iterable

from xds.cache import Ref, Resource, View

WILDCARD = "*"

_SCHEME = "xdstp:"


def is_glob(name: str) -> bool:
    """Whether a name stands for all resources of a folder (xRFC TP1, "Glob")."""
    return name.startswith(_SCHEME) and name.partition("?")[0].endswith("/*")


def glob_of(name: str) -> str | None:
    """Return the glob that includes a resource's name; None for a name without the ``xdstp`` scheme.

    It is the same name with ``*`` for the last part of its path; context parameters must be the same.
    """
    if not name.startswith(_SCHEME):
        return None
    path, mark, parameters = name.partition("?")
    return f"{path.rpartition('/')[0]}/*{mark}{parameters}"


class SubscribedNames:
    """The names of one type that a client subscribes to."""

    __slots__ = ("_view", "explicit", "names", "type_url", "wildcard")

    def __init__(self, type_url: str, view: View) -> None:
        # The view of the node; written by others.
        self._view = view
        self.type_url = type_url
        # As the client wrote them: the name of a resource, an alias, a glob. Written by the subscription.
        self.names: set[str] = set()
        # Whether ``*`` is subscribed to. Written by the subscription.
        self.wildcard = False
        # Whether the client ever named anything, be it ``*`` (state of the world). Written by requests.
        self.explicit = False

    def wants(self, resource: Resource) -> bool:
        """Whether the client subscribes to this resource, by name, alias, glob or wildcard."""
        if self.wildcard and not resource.on_demand:
            return True
        return bool(self.names) and (
            resource.name in self.names
            or not self.names.isdisjoint(resource.aliases)
            or glob_of(resource.name) in self.names
        )

    def among(self, names: Collection[str]) -> Iterable[str]:
        """Return those of ``names`` to which the client may subscribe, or more.

        Costs the fewer of ``names`` and subscribed names.
        """
        if self.wildcard or len(names) <= len(self.names) or self._view.has_aliases(self.type_url):
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
        """Return the resources in the view that have this name or alias, or fall under this glob."""
        if is_glob(name):
            everything = self._view.resources(self.type_url).values()
            return [resource for resource in everything if glob_of(resource.name) == name]
        return self._view.named(Ref(self.type_url, name))

    def wanted(self, name: str) -> list[Resource]:
        """Return those of ``matches`` to which the client subscribes."""
        return [resource for resource in self.matches(name) if self.wants(resource)]
