"""By which names each service may be called in the mesh.

They are the domains of its virtual host there. Envoy refuses a whole route configuration over one domain
that occurs twice or is malformed, and compares domains without regard to case. Rule documents are held to
this by the rule language; registries let services be called anything.
"""

import re
from collections.abc import Iterable, Set

# Visible ASCII without what means something else in a domain (*), a host (/, ?, #) or a cluster (|).
_DOMAIN = re.compile(r"[!-~]{1,255}")
_MEANS_MORE = frozenset("*/?#|\\")

_Rank = tuple[bool, bool, str]
"""Of those who claim a name, the lowest has it: with a rule, by its own name, first in order."""


def is_domain(name: str) -> bool:
    """Whether Envoy takes a service's name as a domain."""
    return bool(_DOMAIN.fullmatch(name)) and _MEANS_MORE.isdisjoint(name)


class MeshNames:
    """Finds out which service has a name that several claim, by their own names or as aliases.

    A service with a rule comes before one without, its own name before another's alias, the first in order
    before the others.
    """

    def __init__(self) -> None:
        # Who claims a name, by the name in lower case. Written by ``set`` and ``remove``, as is the next.
        self._claims: dict[str, dict[str, _Rank]] = {}
        # What a service claims, in its own spelling and order.
        self._names: dict[str, tuple[str, ...]] = {}

    def set(self, service: str, names: Iterable[str], *, has_rule: bool) -> None:
        """Note that a service is there, what it may be called, and whether it has a rule."""
        self.remove(service)
        self._names[service] = tuple(filter(is_domain, names))
        for name in self._names[service]:
            rank = (not has_rule, name != service, service)
            self._claims.setdefault(name.lower(), {})[service] = rank

    def remove(self, service: str) -> None:
        """Note that a service is gone."""
        for name in self._names.pop(service, ()):
            claims = self._claims.get(name.lower(), {})
            claims.pop(service, None)
            if not claims:
                self._claims.pop(name.lower(), None)

    def of(self, service: str) -> tuple[str, ...]:
        """Return the names that a service has; none if it cannot be called."""
        found = {name.lower(): name for name in reversed(self._names.get(service, ()))}
        return tuple(name for name in reversed(found.values()) if self._owner(name) == service)

    def rivals(self, service: str) -> Set[str]:
        """Return all services that claim a name that ``service`` claims, it included if it claims one."""
        return {rival for name in self._names.get(service, ()) for rival in self._claims[name.lower()]}

    def _owner(self, name: str) -> str:
        claims = self._claims[name.lower()]
        return min(claims, key=claims.__getitem__)
