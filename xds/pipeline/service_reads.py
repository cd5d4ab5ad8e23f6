"""Which services the source has read, of those that are needed, and what waits until it has.

A source that chooses which services it watches (``WatchedServices``) reads a service when somebody first
needs it. Until then nothing may be served that shows it without instances: a new rule is not put in force
before its service was read, and a new view waits for the services that its nodes see. Neither waits for
long: a registry that does not answer must not keep what is known from those who ask.
"""

import asyncio
from collections.abc import Callable, Hashable, Set
from contextlib import suppress
from math import inf

from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument
from xds.sources.change_buffer import Changes
from xds.sources.watched_services import Needs, WatchedServices

_LONGEST_FOR_RULES = 5.0
"""Seconds that a rule waits at most for its service to be read, which takes milliseconds."""

LONGEST_FOR_VIEWS = 10.0
"""Seconds that a new view waits at most for its services to be read. Envoy waits 15 s for its clusters when
it starts, and thousands of services take some seconds."""


class ServiceReads:
    """Has services watched that are needed, and keeps waiting what needs services that were not read yet.

    ``watched`` None: the source reports all services by itself, so nothing ever waits. ``is_served`` says
    whether views have a service now, be it from the snapshot. ``clock`` gives seconds.
    """

    def __init__(
        self,
        watched: WatchedServices | None,
        is_served: Callable[[ServiceId], bool],
        clock: Callable[[], float],
    ) -> None:
        self._watched = watched
        self._is_served = is_served
        self._clock = clock
        # What the source said of services. Written by ``take``.
        self._read: set[ServiceId] = set()
        self._unreadable: set[ServiceId] = set()
        # Namespaces of services that the snapshot has, and those of these services that were not compiled
        # anew yet. Written by ``hold_saved``, ``let_saved_go`` and ``served``.
        self._held_saved: set[str] = set()
        self._saved: set[ServiceId] = set()
        # What must be known before anything but the snapshot is served. Written by ``require``, ``take``.
        self._unread: set[ServiceId] = set()
        # Services that are not compiled yet, since something they need was not read, and until when they
        # wait. Written by ``ready``.
        self._waiting: dict[ServiceId, float] = {}
        # Services that were read and are not served yet. Written by ``take`` and ``served``.
        self._coming: set[ServiceId] = set()
        # Views that are waited for, and the services that each lacks. Written by ``available``.
        self._views: dict[asyncio.Future[None], set[ServiceId]] = {}

    # What is needed

    def require(self, service: ServiceId, rule: RuleDocument | None) -> None:
        """Have a service watched as long as it has a rule in force, which names no service but its own."""
        if self._watched is None:
            return
        needs = Needs(service.namespace, frozenset({service.name})) if rule else None
        self._watched.hold(("rule", service), needs)
        self._watched.name_group(service, rule.group if rule else None)
        if rule and self._is_unread(service):
            self._unread.add(service)
        elif service not in self._saved:
            self._unread.discard(service)

    def hold_saved(self, services: Set[ServiceId]) -> None:
        """Have services watched that the snapshot has: proxies with them come back."""
        if self._watched is None:
            return
        by_namespace: dict[str, set[str]] = {}
        for service in services:
            by_namespace.setdefault(service.namespace, set()).add(service.name)
        self._saved |= services
        self._unread |= services
        for namespace, names in by_namespace.items():
            self._watched.hold(("snapshot", namespace), Needs(namespace, frozenset(names)))
        self._held_saved |= by_namespace.keys()

    def let_saved_go(self) -> None:
        """Have saved services watched only if somebody needs them."""
        for namespace in self._held_saved:
            self.hold(("snapshot", namespace), None)
        self._held_saved.clear()

    def hold(self, holder: Hashable, needs: Needs | None) -> None:
        """Have services watched that a holder needs; None: it needs none any more."""
        if self._watched:
            self._watched.hold(holder, needs)

    # What the source says

    def take(self, changes: Changes) -> None:
        """Take which services were read, and which are not watched any more."""
        if self._watched is None:
            return
        self._read |= changes.instances.keys() - changes.incomplete
        self._read -= changes.incomplete
        self._unreadable = (self._unreadable - changes.instances.keys()) | changes.unreadable
        self._unread -= (changes.instances.keys() - changes.incomplete) | changes.unreadable
        self._coming |= changes.instances.keys() | changes.unreadable

    @property
    def begun(self) -> bool:
        """Whether everything was read that rules in force and the snapshot need, or cannot be."""
        return self._watched is None or not self._unread

    def has_read(self, service: ServiceId) -> bool:
        """Whether the instances of a service are known, if it has any."""
        return self._watched is None or service in self._read

    def is_registered(self, service: ServiceId) -> bool:
        """Whether the registry has a service, watched or not."""
        return self._watched is not None and self._watched.is_registered(service)

    def registered(self) -> Set[ServiceId]:
        """Return all services that the registry has, watched or not."""
        return self._watched.registered() if self._watched else frozenset()

    # What waits

    def ready(self, services: Set[ServiceId]) -> set[ServiceId]:
        """Return which of these services, and of those that wait, can be compiled now; the others wait."""
        if self._watched is None:
            return set(services)
        now = self._clock()
        found: set[ServiceId] = set()
        for service in services | self._waiting.keys():
            if (until := self._waits_until(service, now)) > now:
                self._waiting[service] = until
            else:
                self._waiting.pop(service, None)
                found.add(service)
        return found

    @property
    def waiting(self) -> Set[ServiceId]:
        """The services that wait to be compiled."""
        return self._waiting.keys()

    @property
    def patience(self) -> float | None:
        """Seconds until a service has waited long enough, None if none waits."""
        return max(min(self._waiting.values()) - self._clock(), 0.0) if self._waiting else None

    def served(self, services: Set[ServiceId]) -> None:
        """Note that services are served as they were compiled last."""
        self._saved -= services
        done = (self._coming | services) - self._waiting.keys()
        self._coming.clear()
        for view, lacking in self._views.items():
            lacking.difference_update(done)
            if not lacking and not view.done():
                view.set_result(None)

    async def available(self, needs: Needs | None, within: float = LONGEST_FOR_VIEWS) -> None:
        """Wait until services are served as the source has them, or for so many seconds.

        They are watched meanwhile. Before the source has listed its services, of all that there are only
        those of the snapshot are known.
        """
        if self._watched is None or needs is None or not self._watched.is_followed(needs.namespace):
            return
        with self._watched.holding(needs):
            lacking = {service for service in self._named(needs) if self._lacks(service)}
            if not lacking:
                return
            view = asyncio.get_running_loop().create_future()
            self._views[view] = lacking
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(within):
                        await view
            finally:
                del self._views[view]

    def _named(self, needs: Needs) -> Set[ServiceId]:
        assert self._watched
        if needs.names is None:
            return self._watched.registered(needs.namespace)
        return {ServiceId(needs.namespace, name) for name in needs.names}

    def _is_unread(self, service: ServiceId) -> bool:
        return service not in self._read and service not in self._unreadable

    def _lacks(self, service: ServiceId) -> bool:
        """Whether a service is to be served otherwise as soon as it was read."""
        if service in self._saved:
            return False
        if service in self._coming or service in self._waiting:
            return True
        return self._is_unread(service) and not self._is_served(service)

    def _waits_until(self, service: ServiceId, now: float) -> float:
        """Return until when a service is not to be compiled; ``now`` if it may be."""
        assert self._watched
        if service not in self._watched:
            return now
        if service in self._saved and service not in self._read:
            return inf  # what the snapshot has is better than nothing, however long it takes
        if self._is_unread(service):
            return self._waiting.get(service, now + _LONGEST_FOR_RULES)
        return now
