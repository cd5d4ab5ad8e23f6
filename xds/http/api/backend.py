"""What the API needs to know of the rest of the program."""

from collections.abc import Sequence
from typing import Protocol

from xds.documents import DocumentId
from xds.http.access import Caller
from xds.http.api.models import (
    DiffResult,
    Document,
    DocumentSummary,
    ExplainRequest,
    ExplainResult,
    LintResult,
    Overview,
    Proxy,
    ProxySummary,
    Rollout,
    RolloutSummary,
    Service,
    ServiceSummary,
)
from xds.rules.instance import ServiceId


class Unavailable(Exception):  # noqa: N818  # nothing went wrong: this server cannot do it
    """This server cannot do what was asked; the message says why."""


class Conflict(Exception):  # noqa: N818  # as above
    """What was asked does not fit the state of things; the message says how."""


class Backend(Protocol):
    """Answers from memory, in the event loop. Names are in order; ``KeyError`` for one that is not there.

    A list is cut to one page before anything is made of its entries: a page costs the same however many
    services there are.
    """

    def overview(self, caller: str, role: str) -> Overview:
        """Return everything at a glance, for a caller."""

    def service_ids(self) -> Sequence[ServiceId]:
        """Return all services."""

    def service_summary(self, service: ServiceId) -> ServiceSummary:
        """Return one service for a list."""

    def service(self, service: ServiceId) -> Service:
        """Return one service."""

    def document_ids(self, state: str | None) -> Sequence[DocumentId]:
        """Return all documents, or those in a state."""

    def document_summary(self, document: DocumentId) -> DocumentSummary:
        """Return one document for a list."""

    def document(self, document: DocumentId) -> Document:
        """Return one document."""

    async def look_at_proxies(self) -> None:
        """Look at the connected nodes; what is answered of them until the next look is from this one."""

    def proxy_ids(self, state: str | None) -> Sequence[str]:
        """Return all connected nodes, or those in a state."""

    def proxy_summary(self, proxy: str) -> ProxySummary:
        """Return one node for a list."""

    def proxy(self, proxy: str) -> Proxy:
        """Return one node."""

    def rollout_ids(self) -> Sequence[ServiceId]:
        """Return services with a rollout."""

    def rollout_summary(self, service: ServiceId) -> RolloutSummary:
        """Return one rollout for a list."""

    def rollout(self, service: ServiceId) -> Rollout:
        """Return one rollout."""

    async def act(self, service: ServiceId, action: str, caller: Caller, reason: str) -> None:
        """Do something to a rollout. Raise ``Conflict`` if it cannot be done now, ``Unavailable`` ever."""

    async def lint(self, document: DocumentId, text: str) -> LintResult:
        """Check a text as a new version of a document, beside those in force."""

    async def diff(self, document: DocumentId, text: str) -> DiffResult:
        """Say what a text would change for whom. Raise ``Conflict`` if it has no valid rules."""

    async def explain(self, request: ExplainRequest) -> ExplainResult:
        """Say what happens to a request."""

    async def publish(self, document: DocumentId, text: str, revision: str | None) -> str:
        """Publish a text where documents come from; return its revision.

        Raise ``Conflict`` if the document there has another revision than the one given, and
        ``Unavailable`` if documents are not published by this server.
        """
