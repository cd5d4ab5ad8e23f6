"""Tells the people who write rules what became of their documents, in the log."""

from collections.abc import Iterable, Set

import structlog

from xds.documents import DocumentId
from xds.documents.problem import Problem, Severity
from xds.rules.instance import ServiceId
from xds.rules.parse import ParsedDocument
from xds.rules.store import StoreChange

_log = structlog.get_logger(__name__)


class Reports:
    """Says each thing once, when it becomes true, not at every look."""

    def __init__(self) -> None:
        self._said: dict[DocumentId, frozenset[Problem]] = {}
        self._said_of_instances: dict[DocumentId, frozenset[Problem]] = {}
        # Documents whose latest text is not in force. Written by ``_say``.
        self._rejected: set[DocumentId] = set()
        self._unseen: Set[ServiceId] = frozenset()
        self._trouble: str | None = None

    def loaded(self, change: StoreChange) -> None:
        """Many documents were applied, all together."""
        self._say(change)

    def synced(self, *, documents: int, services: int) -> None:
        """What is served is what the source says."""
        rejected = len(self._rejected)
        _log.info("in step with the source", documents=documents, rejected=rejected, services=services)

    def serving_snapshot(self, services: int) -> None:
        """The source has not reported everything yet; until it has, what was kept on disk is served."""
        _log.warning("the source has not answered yet: serving the last known good", services=services)

    def applied(self, document: DocumentId, parsed: ParsedDocument | None, change: StoreChange) -> None:
        """A document was edited, made or deleted (``parsed`` None)."""
        self._say(change)
        services = sorted(map(str, change.services))
        if parsed is None:
            _log.info("rule document deleted", document=str(document), services=services)
        elif document in self._rejected:
            _log.error("rule document rejected: the last good version stays in force", document=str(document))
        else:
            _log.info("rule document applied", document=str(document), services=services)

    def instances(self, document: DocumentId, problems: Iterable[Problem]) -> None:
        """What is wrong with a rule beside the instances that its service has now."""
        found = frozenset(problems)
        for problem in sorted(found - self._said_of_instances.pop(document, frozenset())):
            _tell(problem)
        if found:
            self._said_of_instances[document] = found

    def unseen(self, services: Set[ServiceId], *, among: Set[ServiceId]) -> None:
        """Some ``among`` these services are kept from proxies by their names."""
        for service in sorted(services - self._unseen):
            _log.warning(
                "service left out: its name is no domain, or differs from another one's in case only",
                service=str(service),
            )
        self._unseen = (self._unseen - among) | services

    def rejected(self, document: DocumentId) -> bool:
        """Whether the text of a document as it is now is not in force."""
        return document in self._rejected

    def trouble(self, reason: str | None) -> None:
        """The source cannot be read (``reason``), or can be again."""
        if reason == self._trouble:
            return
        self._trouble = reason
        if reason:
            _log.warning("source in trouble: what it last said stays in force", reason=reason)
        else:
            _log.info("source is well again")

    def _say(self, change: StoreChange) -> None:
        for document, problems in change.problems.items():
            found = frozenset(problems)
            for problem in sorted(found - self._said.pop(document, frozenset())):
                _tell(problem)
            if found:
                self._said[document] = found
            if any(problem.severity is Severity.ERROR for problem in found):
                self._rejected.add(document)
            else:
                self._rejected.discard(document)


def _tell(problem: Problem) -> None:
    tell = _log.error if problem.severity is Severity.ERROR else _log.warning
    tell(
        "rule problem",
        document=problem.document,
        line=problem.line,
        column=problem.column,
        field=problem.path,
        problem=problem.message,
        hint=problem.hint,
    )
