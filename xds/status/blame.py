"""Which documents a client's answer is about."""

from functools import lru_cache

from xds.cache import Resource
from xds.documents import Origin
from xds.protocol import Rejected


@lru_cache(maxsize=512)  # thousands of streams answer the same pair of versions
def changed_origins(held: Resource | None, sent: Resource | None) -> frozenset[Origin]:
    """Return the versions of documents by which a sent version differs from the one that the client held.

    What a client has not acknowledged accumulates by itself: ``held`` is what it last took. If nothing came
    to a resource, those that left it are meant.
    """
    before: frozenset[Origin] = frozenset(_origins(held))
    after: frozenset[Origin] = frozenset(_origins(sent))
    return after - before or before - after


def blamed(event: Rejected) -> frozenset[Origin]:
    """Return the versions of documents of which a client rejected at least one."""
    changes = event.changes.values()
    return frozenset(origin for change in changes for origin in changed_origins(*change))


def _origins(resource: Resource | None) -> list[Origin]:
    return [origin for origin in resource.origins if isinstance(origin, Origin)] if resource else []
