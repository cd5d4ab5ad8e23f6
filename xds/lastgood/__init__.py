"""The last known good, on disk: what a restart serves while the source cannot be read.

Two things are kept, for each service: what it was compiled to, with a digest of what it was compiled from,
so that a restart need not compile again what has not changed; and for each rule document its last valid
text, so that a document that is broken at the time of a restart still has something to keep serving.
"""

from xds.lastgood.keeper import Keeper
from xds.lastgood.store import Kept, LastGood, Store

__all__ = ["Keeper", "Kept", "LastGood", "Store"]
