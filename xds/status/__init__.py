"""The read model: what became of every document, and how every node stands.

``Status`` is told by the pipeline what became of documents, by the views what changed in them, and by the
server what clients answered. It is asked for ``DocumentStatus`` and ``NodeStatus``, and tells its sinks of
every ``StatusEvent``; the log is one sink.

What it costs
=============

A view counts generations: one for each change. A stream is described by the generation at which it was last
in step with its view, and by what it rejected. A document is described, for each view, by the generation of
its last change there, and only as long as some stream has not reached that. So a change costs the documents
that changed, an answer of a client costs the same however many documents there are, and memory grows with
documents plus nodes, never with their product.
"""

from xds.status.blame import blamed, changed_origins
from xds.status.edits import Edits, EditTrace
from xds.status.events import EditStage, Sink, StatusEvent
from xds.status.files import StatusFiles
from xds.status.log import LogSink
from xds.status.model import (
    VALIDATION,
    DocumentState,
    DocumentStatus,
    NodeStatus,
    ProxyCount,
    Quarantine,
    Rejection,
)
from xds.status.status import DocumentFeed, Status

__all__ = [
    "VALIDATION",
    "DocumentFeed",
    "DocumentState",
    "DocumentStatus",
    "EditStage",
    "EditTrace",
    "Edits",
    "LogSink",
    "NodeStatus",
    "ProxyCount",
    "Quarantine",
    "Rejection",
    "Sink",
    "Status",
    "StatusEvent",
    "StatusFiles",
    "blamed",
    "changed_origins",
]
