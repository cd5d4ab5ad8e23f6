"""Which route modes a group is served after an operator switched it to another one.

A proxy that gets a new listener lets the connections of the old one end, for up to its drain time (Envoy's
``--drain-time-s``, 600 s), and these connections need the routes of the mode before until then. Settings are
read when the server starts, so a switch is seen there: the mode that the snapshot remembers is not the one
that is set. From the first stream of the group on, both modes are served for the drain time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xds.compiler.route_sources import RouteMode
from xds.views.node_group import EdgeGroup, SidecarGroup

ModeKey = str
"""A role and the name of a proxy group: ``edge/public``. All views of the group have one route mode."""

DRAIN_SECONDS = 600.0
"""How long a mode is served beside the new one: the drain time of an Envoy that is not told another."""


def mode_key(group: EdgeGroup | SidecarGroup) -> ModeKey:
    """Return the key under which the mode of a group is remembered."""
    return f"{group.role}/{group.name}"


@dataclass(frozen=True, slots=True)
class ServedModes:
    """The mode of a group, and those before it with the time at which each is no longer served.

    Times are seconds since the epoch, since they are kept over restarts.
    """

    mode: RouteMode
    before: Mapping[RouteMode, float]

    @property
    def all(self) -> frozenset[RouteMode]:
        """Every mode that is served."""
        return frozenset({self.mode, *self.before})


class RouteModeSwitches:
    """The modes of every group that nodes were seen of; ``keep`` is told of each change of them."""

    def __init__(self, keep: Callable[[Mapping[ModeKey, ServedModes]], None] = lambda _: None) -> None:
        self._keep = keep
        # Written by ``restore``, ``modes`` and ``expire``.
        self._served: dict[ModeKey, ServedModes] = {}

    def restore(self, served: Mapping[ModeKey, ServedModes]) -> None:
        """Begin with what was kept in the run before."""
        self._served = dict(served)

    def modes(self, key: ModeKey, mode: RouteMode, now: float) -> frozenset[RouteMode]:
        """Return the modes to serve a group that is set to ``mode`` and of which a node opens a stream."""
        known = self._served.get(key, ServedModes(mode, {}))
        before = {each: until for each, until in known.before.items() if until > now and each is not mode}
        if known.mode is not mode:
            before[known.mode] = now + DRAIN_SECONDS
        now_served = ServedModes(mode, before)
        if self._served.get(key) != now_served:
            self._served[key] = now_served
            self._keep(self._served)
        return now_served.all

    def expire(self, now: float) -> dict[ModeKey, frozenset[RouteMode]]:
        """End what is past its time; return the modes of each group of which one ended."""
        ended = {
            key: ServedModes(served.mode, {mode: end for mode, end in served.before.items() if end > now})
            for key, served in self._served.items()
            if any(end <= now for end in served.before.values())
        }
        if ended:
            self._served |= ended
            self._keep(self._served)
        return {key: served.all for key, served in ended.items()}

    @property
    def next_expiry(self) -> float | None:
        """When a mode ends next, None if none does."""
        return min((end for each in self._served.values() for end in each.before.values()), default=None)
