"""What a client says that it can do, as far as responses depend on it (``node.client_features``)."""

from collections.abc import Iterable
from typing import NamedTuple, Self

_TTL = "xds.config.supports-resource-ttl"
# The list of well-known features and the protocol's description have a name each for the same thing.
_RESOURCE_IN_SOTW = frozenset({"xds.config.resource-in-sotw", "xds.config.supports-resource-in-sotw"})
# xRFC TP3 names no feature, since a client steps over fields that it does not know. But in the state of
# the world an error is a response that would not be sent otherwise, so it goes to those who ask for it.
_RESOURCE_ERRORS = "xds.config.supports-resource-errors"


class Features(NamedTuple):
    """``ttl``: resources may come with a time to live; ``errors``: that a name is not there may come in
    ``resource_errors``.
    """

    ttl: bool = False
    errors: bool = False

    @classmethod
    def of(cls, client_features: Iterable[str], *, wrapped: bool) -> Self:
        """Pick out what matters here; anything else is ignored.

        A time to live has its place in the ``Resource`` that a resource is ``wrapped`` in: always in the
        delta variant, in the other where the client can unwrap it.
        """
        declared = frozenset(client_features)
        unwraps = wrapped or not declared.isdisjoint(_RESOURCE_IN_SOTW)
        return cls(unwraps and _TTL in declared, _RESOURCE_ERRORS in declared)
