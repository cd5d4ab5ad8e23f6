"""What is known of a document and of a node, as values for whoever shows it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from xds.cache import Ref
from xds.documents import DocumentId, Origin, Revision
from xds.documents.problem import Problem
from xds.rules.instance import ServiceId
from xds.type_urls import short


class DocumentState(StrEnum):
    """How the latest text of a document stands."""

    REJECTED = "Rejected"
    """It has errors; the last good version stays in force."""
    WAITING = "Waiting"
    """It is good and does not fit beside another document yet."""
    PROGRAMMING = "Programming"
    """It is in force, and some proxies have not acknowledged it."""
    PROGRAMMED = "Programmed"
    """It is in force, and every proxy that it concerns has acknowledged it."""
    QUARANTINED = "Quarantined"
    """A proxy rejected what it was compiled to; what was acknowledged last is served."""


VALIDATION = "envoy --mode validate"
"""Stands for the node where no proxy rejected something, but an Envoy that was asked before."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A resource that a node rejected.

    ``origins`` are the versions of documents that may be at fault, ``reason`` the words of the client, ``at``
    the time in seconds since the epoch.
    """

    node: str
    resource: Ref
    origins: frozenset[Origin]
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A version of a service that is served to nobody, since a node rejected it.

    With ``before_push`` no node was sent it: an Envoy beside Grayplane refused it (``xds.validation``).
    ``served`` is the revision of the service's document that is served instead; None if nothing is. ``line``
    is the line of the document that the reason is about; 0 if that is not known.
    """

    service: ServiceId
    origins: tuple[Origin, ...]
    node: str
    reason: str
    at: float
    served: Revision | None = None
    line: int = 0
    before_push: bool = False


@dataclass(frozen=True, slots=True)
class Behind:
    """A node that has not acknowledged everything of a document, and since when, in seconds of the epoch."""

    node: str
    since: float


@dataclass(frozen=True, slots=True)
class ProxyCount:
    """How many of the connected nodes that see a document have acknowledged its version in force."""

    programmed: int
    of: int
    behind: tuple[Behind, ...] = ()
    """The first few that have not."""


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """How a document stands.

    ``revision`` is that of its latest text, None if it is deleted and still needed. ``in_force`` is the
    revision that is served. ``at`` is when the text was taken, in seconds since the epoch.
    """

    document: DocumentId
    revision: Revision | None
    in_force: Revision | None
    state: DocumentState
    problems: tuple[Problem, ...]
    services: tuple[ServiceId, ...]
    proxies: ProxyCount
    rejections: tuple[Rejection, ...]
    quarantine: Quarantine | None
    at: float

    def as_dict(self, text: bytes | None = None) -> dict[str, Any]:
        """Return the status as it is written in documents; with the MD5 of the text, if it is given."""
        found: dict[str, Any] = {"document": str(self.document), "revision": self.revision}
        if text is not None:
            found["md5"] = hashlib.md5(text, usedforsecurity=False).hexdigest()
        found["state"] = str(self.state)
        if self.problems:
            found["problems"] = [_problem(problem) for problem in self.problems]
        if self.in_force != self.revision or self.quarantine:
            found["inForce"] = self.quarantine.served if self.quarantine else self.in_force
        if self.quarantine:
            found["quarantine"] = {
                "service": str(self.quarantine.service),
                "rejectedBy": self.quarantine.node,
                "reason": self.quarantine.reason,
                "since": iso(self.quarantine.at),
            }
            if self.quarantine.before_push:
                found["quarantine"]["beforePush"] = True
            if self.quarantine.line:
                found["quarantine"]["line"] = self.quarantine.line
        behind = [one.node for one in self.proxies.behind]
        found["proxies"] = {"programmed": self.proxies.programmed, "of": self.proxies.of}
        if behind:
            found["proxies"]["behind"] = behind
        if self.rejections:
            found["rejections"] = [_rejection(rejection) for rejection in self.rejections]
        found["at"] = iso(self.at)
        return found


@dataclass(frozen=True, slots=True)
class NodeDocument:
    """A document that a node is served. ``has``: it has the revision that is in force, all of it."""

    document: DocumentId
    revision: Revision
    has: bool


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How one stream of a node stands.

    ``in_step``: it acknowledged everything that its view has, but for ``rejections``. ``behind_since`` is
    when its view changed for the first time after it was last in step; None while it is in step. Times are
    in seconds since the epoch.
    """

    node: str
    cluster: str
    role: str
    namespace: str
    peer: str
    version: str
    method: str
    since: float
    in_step: bool
    behind_since: float | None
    rejections: tuple[Rejection, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the status as it is written in the API."""
        return {
            "node": self.node,
            "cluster": self.cluster,
            "role": self.role,
            "namespace": self.namespace,
            "peer": self.peer,
            "version": self.version,
            "method": self.method,
            "since": iso(self.since),
            "inStep": self.in_step,
            "behindSince": None if self.behind_since is None else iso(self.behind_since),
            "rejections": [_rejection(rejection) for rejection in self.rejections],
        }


def iso(seconds: float) -> str:
    """Write a time as people and programs read it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _problem(problem: Problem) -> dict[str, Any]:
    found: dict[str, Any] = {"severity": str(problem.severity)}
    if problem.line:
        found |= {"line": problem.line, "column": problem.column}
    found |= {"field": problem.path, "problem": problem.message}
    return {**found, "hint": problem.hint} if problem.hint else found


def _rejection(rejection: Rejection) -> dict[str, Any]:
    documents = sorted({str(origin.document) for origin in rejection.origins})
    return {
        "node": rejection.node,
        "type": short(rejection.resource.type_url),
        "resource": rejection.resource.name,
        "documents": documents[:20],
        "reason": rejection.reason,
        "at": iso(rejection.at),
    }
