"""What a rejection may be about: services whose served version nobody has acknowledged."""

from collections.abc import Iterable, Iterator

from xds.cache import Resource
from xds.documents import Origin
from xds.protocol import Rejected
from xds.rules.instance import ServiceId

Key = tuple[Origin, ...]
"""What tells the versions of a service apart: the versions of the documents that it is made from."""


class Unacknowledged:
    """Services whose served version nobody has acknowledged, in order, and by the origins of that version."""

    def __init__(self) -> None:
        # Both written by ``add`` and ``discard``.
        self._keys: dict[ServiceId, Key] = {}
        self._by_origin: dict[Origin, set[ServiceId]] = {}

    def __contains__(self, service: ServiceId) -> bool:
        return service in self._keys

    def __iter__(self) -> Iterator[ServiceId]:
        return iter(self._keys)

    def add(self, service: ServiceId, key: Key) -> None:
        """Add a service, or take another version of it."""
        self.discard(service)
        self._keys[service] = key
        for origin in key:
            self._by_origin.setdefault(origin, set()).add(service)

    def discard(self, service: ServiceId) -> None:
        """Remove a service, if it is there."""
        for origin in self._keys.pop(service, ()):
            services = self._by_origin[origin]
            services.discard(service)
            if not services:
                del self._by_origin[origin]

    def made_from(self, origins: Iterable[Origin]) -> set[ServiceId]:
        """Return the services whose version comes from one of some origins."""
        return {service for origin in origins for service in self._by_origin.get(origin, ())}


def is_current(resource: Resource | None, sent: Resource) -> bool:
    """Whether a rejected version is what is served now; of others nothing follows any more."""
    return resource is not None and resource.version == sent.version


def services_named(event: Rejected) -> set[str]:
    """Return the services of which a client names a cluster as one that it rejects."""
    message = event.reason.message
    clusters = (name for name in event.changes if f"{name}: " in message or f'name: "{name}"' in message)
    return {cluster.partition("|")[0] for cluster in clusters}
