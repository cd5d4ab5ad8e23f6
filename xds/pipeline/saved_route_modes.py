"""The route modes of proxy groups, kept in the snapshot for the next run."""

from collections.abc import Mapping

import msgspec

from xds.snapshot import Snapshot, SnapshotWriter
from xds.views import CompiledService, ServedModes

_ROUTE_MODES = "route modes"
"""Under this name the snapshot holds them."""


def keep_route_modes(snapshot: SnapshotWriter[CompiledService], served: Mapping[str, ServedModes]) -> None:
    """Have the route modes of the groups kept."""
    snapshot.keep(Snapshot(state={_ROUTE_MODES: msgspec.json.encode(served)}))


def saved_route_modes(snapshot: Snapshot[CompiledService]) -> dict[str, ServedModes] | None:
    """Return the route modes of the run before, None if there was none."""
    modes = snapshot.state.get(_ROUTE_MODES)
    return msgspec.json.decode(modes, type=dict[str, ServedModes]) if modes else None
