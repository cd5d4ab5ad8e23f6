"""What happens, as sinks are told of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from xds.documents import DocumentId, Origin, Revision
from xds.documents.problem import Problem
from xds.protocol import Acked, Rejected
from xds.rules.instance import ServiceId
from xds.server import StreamInfo
from xds.status.model import Quarantine


class EditStage(Enum):
    """How far a batch of edits is."""

    PARSED = auto()
    COMPILED = auto()


@dataclass(frozen=True, slots=True)
class EditsTaken:
    """The pipeline began a batch: the documents that were reported, and when, in seconds since the epoch."""

    seen: Mapping[DocumentId, float]


@dataclass(frozen=True, slots=True)
class StageReached:
    """All documents of the batch are parsed, or all services of it compiled."""

    stage: EditStage


@dataclass(frozen=True, slots=True)
class ProblemFound:
    """A document has a problem that it did not have before."""

    document: DocumentId
    problem: Problem


@dataclass(frozen=True, slots=True)
class DocumentApplied:
    """A version of a document is in force, compiled and in the cache."""

    document: DocumentId
    revision: Revision
    services: tuple[ServiceId, ...]


@dataclass(frozen=True, slots=True)
class DocumentRejected:
    """The text of a document has errors or waits; the last good version stays in force."""

    document: DocumentId
    waits: bool


@dataclass(frozen=True, slots=True)
class DocumentDeleted:
    """A document is gone, and nothing of it is served any more."""

    document: DocumentId
    services: tuple[ServiceId, ...]


@dataclass(frozen=True, slots=True)
class ServiceHidden:
    """A service's name keeps it from the nodes (``xds.views.mesh_names``)."""

    service: ServiceId


@dataclass(frozen=True, slots=True)
class ServingSnapshot:
    """The source has not reported everything in time, so the snapshot is served."""

    services: int


@dataclass(frozen=True, slots=True)
class InStepWithSource:
    """What is served is what the source says."""

    documents: int
    rejected: int
    services: int


@dataclass(frozen=True, slots=True)
class SourceTrouble:
    """The source cannot be read; None: it can again.

    ``is_news``: it is another trouble than before, not another reason for the same one.
    """

    reason: str | None
    is_news: bool = True


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """A client opened a stream."""

    stream: StreamInfo


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """A stream ended."""

    stream: StreamInfo


@dataclass(frozen=True, slots=True)
class PushAcknowledged:
    """A client acknowledged a response."""

    stream: StreamInfo
    event: Acked


@dataclass(frozen=True, slots=True)
class PushRejected:
    """A client rejected a response; ``origins`` are the versions of documents that may be at fault."""

    stream: StreamInfo
    event: Rejected
    origins: frozenset[Origin]


@dataclass(frozen=True, slots=True)
class ServiceQuarantined:
    """A version of a service is no longer served to anybody."""

    quarantine: Quarantine


@dataclass(frozen=True, slots=True)
class QuarantineLifted:
    """A service has another version, which is served."""

    service: ServiceId


StatusEvent = (
    EditsTaken
    | StageReached
    | ProblemFound
    | DocumentApplied
    | DocumentRejected
    | DocumentDeleted
    | ServiceHidden
    | ServingSnapshot
    | InStepWithSource
    | SourceTrouble
    | StreamOpened
    | StreamClosed
    | PushAcknowledged
    | PushRejected
    | ServiceQuarantined
    | QuarantineLifted
)
Sink = Callable[[StatusEvent], None]
