"""Carries a change from the sources through rules and compiler to the cache.

``ChangeBuffer`` merges what sources report. ``Plane`` turns it into resources, without I/O. ``Pipeline``
runs the two in the event loop and tells people what became of their documents.
"""

from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.pipeline.audience import Audience, Edge, Sidecar, audience_of
from xds.pipeline.pipeline import Pipeline
from xds.pipeline.plane import Plane
from xds.pipeline.proxies import Proxies
from xds.sources.change_buffer import ChangeBuffer

__all__ = [
    "Audience",
    "ChangeBuffer",
    "Edge",
    "EdgeListener",
    "Pipeline",
    "Plane",
    "Proxies",
    "Sidecar",
    "SidecarListeners",
    "audience_of",
]
