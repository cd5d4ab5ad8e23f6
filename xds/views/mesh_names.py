"""Which services may be called by their names in the mesh.

A service's name is the domain of its virtual host there. Envoy refuses a whole route configuration over one
domain that occurs twice or is malformed, and compares domains without regard to case. Rule documents are
held to this by the rule language; registries let services be called anything.
"""

import re
from collections.abc import Iterable

# Visible ASCII without what means something else in a domain (*), a host (/, ?, #) or a cluster (|).
_DOMAIN = re.compile(r"[!-~]{1,255}")
_MEANS_MORE = frozenset("*/?#|\\")


def is_domain(name: str) -> bool:
    """Whether Envoy takes a service's name as a domain."""
    return bool(_DOMAIN.fullmatch(name)) and _MEANS_MORE.isdisjoint(name)


class MeshNames:
    """Finds out, among services whose names differ only in case, which is visible: the one with a rule,
    else the first in order. Names that are no domains are never visible.
    """

    def __init__(self) -> None:
        self._alike: dict[str, dict[str, bool]] = {}

    def set(self, name: str, *, has_rule: bool) -> None:
        """Note that a service is there, and whether it has a rule."""
        self._alike.setdefault(name.lower(), {})[name] = has_rule

    def remove(self, name: str) -> None:
        """Note that a service is gone."""
        alike = self._alike.get(name.lower(), {})
        alike.pop(name, None)
        if not alike:
            self._alike.pop(name.lower(), None)

    def visible(self, name: str) -> str | None:
        """Return which of the services called like ``name`` is visible."""
        alike = self._alike.get(name.lower(), {})
        return min(
            (each for each in alike if is_domain(each)),
            key=lambda each: (not alike[each], each),
            default=None,
        )

    def alike(self, name: str) -> Iterable[str]:
        """Return all services called like ``name``, it included if it is there."""
        return self._alike.get(name.lower(), {}).keys()
