"""Encoded resources and the views that nodes see of them.

Knows type URLs, names, versions and bytes, never gray rules: whatever is put in is served. A ``View`` is
what a set of nodes sees alike; a ``Cache`` holds the views by keys of the caller's choosing. No I/O, no
clock, no locks: everything happens on the one event loop that serves.
"""

from xds.cache.cache import Cache
from xds.cache.resource import Ref, Resource
from xds.cache.view import Changes, Follower, View, Watcher

__all__ = ["Cache", "Changes", "Follower", "Ref", "Resource", "View", "Watcher"]
