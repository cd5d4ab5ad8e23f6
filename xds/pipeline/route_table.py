"""The virtual hosts of one RouteConfiguration, kept in order while services come and go."""

from bisect import bisect_left, insort
from collections.abc import Iterable

from xds.cache import Ref, Resource
from xds.compiler.route_configuration import route_configuration
from xds.type_urls import ROUTE


class RouteTable:
    """One RouteConfiguration with a virtual host per service, in the order of their names.

    ``set`` costs what changed. ``resource`` costs the size of the whole, as does sending it: a group with
    very many services is better served by scoped routes.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._order: list[str] = []
        self._hosts: dict[str, tuple[bytes, frozenset[Ref]]] = {}
        self._required: dict[Ref, int] = {}

    def set(self, service: str, host: bytes | None, requires: frozenset[Ref] = frozenset()) -> bool:
        """Put the virtual host of a service, or take it away (None); return whether anything changed."""
        before = self._hosts.pop(service, None)
        if before:
            self._release(before[1])
        if host is not None:
            self._hosts[service] = (host, requires)
            for ref in requires:
                self._required[ref] = self._required.get(ref, 0) + 1
        if host is None and before:
            del self._order[bisect_left(self._order, service)]
        elif host is not None and not before:
            insort(self._order, service)
        return (before[0] if before else None) != host

    def resource(self, origins: Iterable[str]) -> Resource:
        """Return the RouteConfiguration as it is now; ``origins`` are those of what changed in it."""
        return Resource.of(
            ROUTE,
            self._name,
            route_configuration(self._name, (self._hosts[service][0] for service in self._order)),
            requires=frozenset(self._required),
            origins=tuple(sorted(origins)),
        )

    def _release(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            self._required[ref] -= 1
            if not self._required[ref]:
                del self._required[ref]
