"""The snapshot on disk, the last known good: what a restart serves while the source cannot be read.

It holds, for each service, what it was compiled to, with a digest of what it was compiled from: a restart
need not compile again what has not changed. For each document it holds the last valid text: a document that
is broken at the time of a restart keeps its last good version.
"""

from xds.snapshot.store import SavedService, Snapshot, SnapshotStore
from xds.snapshot.writer import SnapshotWriter

__all__ = ["SavedService", "Snapshot", "SnapshotStore", "SnapshotWriter"]
