"""Which services anybody needs, of all that are registered: a source that can choose watches only these.

Written by those who need services (rules in force, views of proxies), and followed by the source. A
registry may have ten thousand services, of which a few are called by way of Grayplane.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass

from xds.rules.instance import ServiceId

_LINGER = 300.0
"""Seconds that a service stays watched after it was needed last: proxies restart, rules are put back."""

_EVERYTHING = ""
"""Stands among the names of a namespace for all of them. No service is called so."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The services of a namespace that somebody needs; ``names`` None: all that are registered."""

    namespace: str
    names: frozenset[str] | None = None

    def keys(self) -> Set[str]:
        """Return what is counted: names, or one that stands for all."""
        return {_EVERYTHING} if self.names is None else self.names


_NOTHING: frozenset[str] = frozenset()


class WatchedServices:
    """The services to be watched: those that a *holder* needs, and for a while those that one has needed.

    A change costs what changes. ``linger`` is that while, in seconds of ``clock``.
    """

    def __init__(self, linger: float = _LINGER, clock: Callable[[], float] = time.monotonic) -> None:
        self._linger = linger
        self._clock = clock
        self._held: dict[Hashable, Needs] = {}
        # By namespace and name: how many holders need it. A watched one that nobody needs any more has 0.
        self._holders: dict[str, dict[str, int]] = {}
        # Until when those stay watched, the next to end first.
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._followers: dict[str, list[Callable[[Set[str]], None]]] = {}
        # The naming groups that rules name, and who is told of them. Written by ``name_group``.
        self._groups: dict[ServiceId, str] = {}
        self._told_of_groups: list[Callable[[ServiceId], None]] = []
        # The names of the last listing, by namespace and naming group. Written by ``list``.
        self._registered: dict[str, dict[str, Set[str]]] = {}

    # For those who need services

    def hold(self, holder: Hashable, needs: Needs | None) -> None:
        """Watch from now on what ``holder`` needs, instead of what it needed before (None: nothing)."""
        before = self._held.pop(holder, None)
        if needs is not None:
            self._held[holder] = needs
            self._add(needs, before.keys() if before and before.namespace == needs.namespace else _NOTHING)
        if before is not None:
            kept = needs.keys() if needs and needs.namespace == before.namespace else _NOTHING
            self._remove(before.namespace, before.keys() - kept)

    def name_group(self, service: ServiceId, group: str | None) -> None:
        """Take the naming group that the rule in force of a service names; None: it names none."""
        if self._groups.get(service) == group:
            return
        self._groups.pop(service, None)
        if group is not None:
            self._groups[service] = group
        for tell in self._told_of_groups:
            tell(service)

    @contextmanager
    def holding(self, needs: Needs) -> Iterator[None]:
        """Watch services for the length of a block."""
        holder = object()
        self.hold(holder, needs)
        try:
            yield
        finally:
            self.hold(holder, None)

    def is_registered(self, service: ServiceId) -> bool:
        """Whether the registry has a service, watched or not."""
        groups = self._registered.get(service.namespace, {})
        return any(service.name in names for names in groups.values())

    def is_followed(self, namespace: str) -> bool:
        """Whether a source has a namespace at all."""
        return namespace in self._followers

    def registered(self, namespace: str | None = None) -> set[ServiceId]:
        """Return all services that the registry has in a namespace (None: in any), watched or not."""
        namespaces = self._registered if namespace is None else (namespace,)
        return {
            ServiceId(each, name)
            for each in namespaces
            for names in self._registered.get(each, {}).values()
            for name in names
        }

    # For sources

    def follow(self, namespace: str, added: Callable[[Set[str]], None]) -> None:
        """Have a source told of names of a namespace that are to be watched and were not, at once.

        Told of none: every registered service is. What is not to be watched any more it finds out in time.
        """
        self._followers.setdefault(namespace, []).append(added)

    def follow_groups(self, named: Callable[[ServiceId], None]) -> None:
        """Have a source told of services whose rule names another naming group than before."""
        self._told_of_groups.append(named)

    def group_of(self, service: ServiceId) -> str | None:
        """Return the naming group that the rule of a service names."""
        return self._groups.get(service)

    def names(self, namespace: str) -> Set[str]:
        """Return the names to be watched whether they are registered or not."""
        return self._holders.get(namespace, {}).keys() - {_EVERYTHING}

    def everything(self, namespace: str) -> bool:
        """Whether every registered service of a namespace is to be watched."""
        return _EVERYTHING in self._holders.get(namespace, ())

    def is_named(self, service: ServiceId) -> bool:
        """Whether a service is to be watched whether it is registered or not."""
        return service.name in self._holders.get(service.namespace, ())

    def __contains__(self, service: ServiceId) -> bool:
        """Whether a service is to be watched, if it is registered."""
        return self.is_named(service) or self.everything(service.namespace)

    def list(self, namespace: str, group: str, names: Set[str]) -> None:
        """Say which services are registered in a naming group."""
        self._registered.setdefault(namespace, {})[group] = names

    def lacks(self, group: str, service: ServiceId) -> bool:
        """Whether a naming group is known to be without a service, by its last listing."""
        names = self._registered.get(service.namespace, {}).get(group)
        return names is not None and service.name not in names

    def expire(self) -> None:
        """Watch no more what nobody has needed for a while. To be called now and then."""
        now = self._clock()
        while self._until and (first := next(iter(self._until))) and self._until[first] <= now:
            del self._until[first]
            namespace, name = first
            del self._holders[namespace][name]

    def _add(self, needs: Needs, but: Set[str]) -> None:
        holders = self._holders.setdefault(needs.namespace, {})
        added: set[str] = set()
        for name in needs.keys() - but:
            if name not in holders:
                added.add(name)
            holders[name] = holders.get(name, 0) + 1
            self._until.pop((needs.namespace, name), None)
        if added:
            everything = _EVERYTHING in added
            for tell in self._followers.get(needs.namespace, ()):
                tell(_NOTHING if everything else added)

    def _remove(self, namespace: str, names: Set[str]) -> None:
        holders, until = self._holders[namespace], self._clock() + self._linger
        for name in names:
            holders[name] -= 1
            if not holders[name]:
                self._until[namespace, name] = until
