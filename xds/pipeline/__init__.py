"""Carries a change from the sources through rules and compiler to the cache.

``Inbox`` merges what sources report. ``Plane`` turns it into resources, without I/O. ``Pipeline`` runs the
two in the event loop and tells people what became of their documents.
"""

from xds.pipeline.audience import Audience, Edge, Sidecar, audience_of
from xds.pipeline.pipeline import Pipeline
from xds.pipeline.plane import Plane
from xds.pipeline.proxies import EdgeListener, Proxies, SidecarListeners
from xds.sources.inbox import Inbox

__all__ = [
    "Audience",
    "Edge",
    "EdgeListener",
    "Inbox",
    "Pipeline",
    "Plane",
    "Proxies",
    "Sidecar",
    "SidecarListeners",
    "audience_of",
]
