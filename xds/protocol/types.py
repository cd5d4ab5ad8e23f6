"""What the protocol knows of particular resource types: their order and how they may be asked for."""

from xds import type_urls

ORDER: tuple[str, ...] = (
    type_urls.CLUSTER,
    type_urls.ENDPOINT,
    type_urls.LISTENER,
    type_urls.SCOPED_ROUTE,
    type_urls.ROUTE,
    type_urls.VIRTUAL_HOST,
)
"""Make before break ("Eventual consistency considerations"); types not listed come after these."""

_NAMED = frozenset(
    {type_urls.ENDPOINT, type_urls.ROUTE, type_urls.SECRET, type_urls.RUNTIME, type_urls.EXTENSION}
)

_REFERS: dict[str, tuple[str, ...]] = {
    type_urls.LISTENER: (type_urls.CLUSTER,),
    type_urls.ROUTE: (type_urls.CLUSTER,),
    type_urls.VIRTUAL_HOST: (type_urls.CLUSTER,),
    type_urls.EXTENSION: (type_urls.CLUSTER,),
}

_RANK = {type_url: rank for rank, type_url in enumerate(ORDER)}


def rank(type_url: str) -> int:
    """Return the place of a type in the order of pushes."""
    return _RANK.get(type_url, len(ORDER))


def empty_means_all(type_url: str) -> bool:
    """Whether a first request without names is the legacy form of ``*`` ("How the client specifies what
    resources to return"); a type fetched by name only has no such form.
    """
    return type_url not in _NAMED


def absence_removes(type_url: str) -> bool:
    """Whether, in the state-of-the-world variant, a resource missing from a response is removed by it
    ("Deleting Resources"): such a response must list everything.
    """
    return type_url not in _NAMED


def named_on_demand(type_url: str) -> bool:
    """Whether a client subscribes to a resource when a request first needs it (VHDS).

    It holds the request back until it is answered. A resource without a body says that there is none.
    """
    return type_url == type_urls.VIRTUAL_HOST


def may_refer(type_url: str, other: str) -> bool:
    """Whether a resource whose content is unknown may refer to one of the ``other`` type."""
    return other in _REFERS.get(type_url, ())
