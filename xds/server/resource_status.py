"""Where a client stands with each resource that it wants."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from xds.cache import Resource, View
from xds.protocol.names import WILDCARD, is_glob
from xds.protocol.subscription import Subscription


class Standing(IntEnum):
    """``ConfigStatus`` of ``csds.proto``, with its numbers."""

    SYNCED = 1
    """Sent and acknowledged."""
    NOT_SENT = 2
    """Held back, merged with what is about to be sent, or not there."""
    STALE = 3
    """Sent and not answered."""
    ERROR = 4
    """Sent and rejected."""


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One resource that a client wants; ``resource`` is what the view holds, None if it holds nothing."""

    name: str
    standing: Standing
    resource: Resource | None


def statuses(subscription: Subscription, view: View) -> Iterator[ResourceStatus]:
    """Yield the status of every resource of a type that a client wants."""
    in_flight = {
        name: resource
        for flight in subscription.holdings.flights.values()
        for name, resource in flight.sent.items()
    }
    if subscription.wishes.everything or any(map(is_glob, subscription.wishes.names)):
        everything = tuple(view.resources(subscription.type_url).values())
        wanted = [resource for resource in everything if subscription.wishes.wants(resource)]
    else:
        found = map(subscription.find, subscription.wishes.names)
        wanted = list({resource.name: resource for resource in found if resource}.values())
    for resource in wanted:
        yield ResourceStatus(resource.name, _standing(resource, subscription, in_flight), resource)
    for name in subscription.wishes.names:
        if name != WILDCARD and not is_glob(name) and not subscription.find(name):
            yield ResourceStatus(name, Standing.NOT_SENT, None)


def _standing(
    resource: Resource, subscription: Subscription, in_flight: dict[str, Resource | None]
) -> Standing:
    if resource.name in subscription.holdings.refused:
        return Standing.ERROR
    if resource.name in subscription.holdings.behind:
        return Standing.NOT_SENT
    return Standing.STALE if resource.name in in_flight else Standing.SYNCED
