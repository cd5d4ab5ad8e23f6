"""Which version of which document is in force.

The store keeps for every document the version *in force*, the last good one, and its latest text. A latest
text that is good but does not fit beside the other documents *waits*, and the version in force stays. It does
not fit if it

- claims what another document in force has (``xds.rules.claims``),
- needs a claim that no document in force has, or
- gives up a claim that another document in force needs. A deletion is a version that claims nothing.

A version that waits is tried again when one of the claims that it is about changes hands. Versions that need
each other, such as two documents that swap their hosts, or rules and the lane that they are for, are put in
force together. Namespaces do not see each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from xds.documents import DocumentId, Origin, Revision
from xds.documents.defect import Path, printable, render
from xds.documents.problem import Problem
from xds.documents.words import did_you_mean
from xds.rules.claims import LANES, LIST, Claim
from xds.rules.claims_in_force import ClaimsInForce, Key, claims_of, discard, needs_of
from xds.rules.instance import ServiceId
from xds.rules.lists import ListDocument
from xds.rules.model import LanesDocument, RuleDocument
from xds.rules.parse import ParsedDocument

_DELETED = ParsedDocument(None)
_CLAIMED = "remove it from one of the two; until then the last good version stays in force"
_NEEDED = "remove it there first; until then the last good version stays in force"


@dataclass(frozen=True, slots=True)
class StoreChange:
    """What a change of documents led to.

    ``services`` are those whose rule, or a list that it uses, is another version now, or is gone; ``lanes``
    are the namespaces whose lanes are. ``documents`` are those whose standing may have changed: the ones
    applied and those that wait beside them. ``problems`` is all that is wrong with these now.
    """

    services: frozenset[ServiceId] = frozenset()
    lanes: frozenset[str] = frozenset()
    documents: frozenset[DocumentId] = frozenset()
    problems: Mapping[DocumentId, tuple[Problem, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a document stands: the revision of its text, of the version in force, and whether its text waits.

    ``latest`` is None for a document that is deleted, and stays in force as long as others need it.
    """

    latest: Revision | None
    in_force: Revision | None
    waits: bool


@dataclass(slots=True)
class _Record:
    """What the store knows of a document.

    ``latest`` is its text, ``_DELETED`` if there is none any more. ``waits``: the latest text is good, and
    not in force yet. ``in_force`` is the last version that was put in force.
    """

    latest: ParsedDocument
    waits: bool = False
    in_force: ParsedDocument | None = None


@dataclass(slots=True)
class _Turn:
    """What one call has changed so far, and the documents that wait and have to be tried again.

    ``before`` is what was in force when the call began, of every document that was replaced since.
    """

    before: dict[DocumentId, ParsedDocument | None] = field(default_factory=dict)
    documents: set[DocumentId] = field(default_factory=set)
    again: list[DocumentId] = field(default_factory=list)


class DocumentStore:
    """The documents in force. What a change costs does not grow with the number of documents."""

    def __init__(self) -> None:
        # All documents. Written by ``_apply`` and ``_replace``.
        self._records: dict[DocumentId, _Record] = {}
        # Who has and needs what, of the versions in force. Written by ``_replace``.
        self._claims = ClaimsInForce()
        # Those whose waiting version is about a claim. Written by ``_wait`` and ``_stop_waiting``.
        self._waiting: dict[Key, set[DocumentId]] = {}

    def rule(self, service: ServiceId) -> RuleDocument | None:
        """Return the rule in force for a service."""
        version = self._version(self._claims.documents.get(service))
        return version.rule if version else None

    def document_of(self, service: ServiceId) -> DocumentId:
        """Return the document whose rule is in force for a service; ``KeyError`` if there is none."""
        return self._claims.documents[service]

    def origins(self, service: ServiceId) -> tuple[Origin, ...]:
        """Return the versions in force that a service is made from: its rule's, and its lists' and lanes'."""
        return self._origins(self._claims.documents.get(service))

    def services(self) -> frozenset[ServiceId]:
        """Return the services with a rule in force."""
        return frozenset(self._claims.documents)

    def list_values(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the values of a list in force; ``KeyError`` if there is none."""
        version = self._version(self._claims.owner[namespace, Claim(LIST, name)])
        assert version
        assert isinstance(version.content, ListDocument)
        return version.content.values

    def lists_of(self, service: ServiceId) -> dict[str, tuple[str, ...]]:
        """Return the values of all lists that the rule in force of a service uses, by name."""
        version = self._version(self._claims.documents.get(service))
        names = [claim.name for claim in version.needs if claim.kind == LIST] if version else []
        return {name: self.list_values(service.namespace, name) for name in names}

    def lanes(self, namespace: str) -> LanesDocument:
        """Return the lanes in force in a namespace."""
        version = self._version(self._claims.owner.get((namespace, Claim(LANES, ""))))
        content = version.content if version else None
        return content if isinstance(content, LanesDocument) else LanesDocument(lanes=())

    def lanes_origins(self, namespace: str) -> tuple[Origin, ...]:
        """Return the versions in force that the lanes of a namespace are made from, lists included."""
        return self._origins(self._claims.owner.get((namespace, Claim(LANES, ""))))

    def standing(self, document: DocumentId) -> Standing | None:
        """Say how a document stands; None if it is not there."""
        record = self._records.get(document)
        if record is None:
            return None
        latest = None if record.latest is _DELETED else record.latest.revision
        return Standing(latest, record.in_force.revision if record.in_force else None, record.waits)

    def problems(self) -> dict[DocumentId, tuple[Problem, ...]]:
        """Return all that is wrong with the documents as they are now."""
        return {document: found for document in sorted(self._records) if (found := self._problems(document))}

    def conflicts(self, document: DocumentId, parsed: ParsedDocument) -> tuple[Problem, ...]:
        """Return why a text would have to wait beside the other documents, by what it claims and needs."""
        return tuple(self._contested(document, parsed))

    def load(self, documents: Mapping[DocumentId, ParsedDocument]) -> StoreChange:
        """Apply many documents at once: of two that claim the same the first by name wins, not by arrival."""
        turn = _Turn()
        for document in sorted(documents):
            self._apply(document, documents[document], turn)
        return self._changed(turn)

    def apply(self, document: DocumentId, parsed: ParsedDocument | None) -> StoreChange:
        """Take the new text of a document, or forget a deleted one (None)."""
        turn = _Turn()
        self._apply(document, parsed, turn)
        return self._changed(turn)

    def _apply(self, document: DocumentId, parsed: ParsedDocument | None, turn: _Turn) -> None:
        turn.documents.add(document)
        self._stop_waiting(document)
        if parsed is not None or document in self._records:
            version = parsed or _DELETED
            self._records.setdefault(document, _Record(version)).latest = version
            if version is _DELETED or version.content is not None:
                self._try(document, turn)
        while turn.again:
            self._retry(turn.again.pop(), turn)

    def _retry(self, document: DocumentId, turn: _Turn) -> None:
        record = self._records.get(document)
        if record and record.waits:
            turn.documents.add(document)
            self._stop_waiting(document)
            self._try(document, turn)

    def _try(self, document: DocumentId, turn: _Turn) -> None:
        """Put the latest version of a document in force, with those that it needs to move; or let it wait."""
        if together := self._together(document):
            turn.documents |= together
            for moved in together:
                self._stop_waiting(moved)
            self._replace(together, turn)
        else:
            self._wait(document)

    def _together(self, document: DocumentId) -> set[DocumentId] | None:
        """Return the documents whose latest versions fit if all are put in force at once; None if none do."""
        together, queue = {document}, [document]
        claimed: dict[Key, DocumentId] = {}
        while queue:
            member = queue.pop()
            for moved in self._must_move(member, together, claimed):
                if moved is None or not self._records[moved].waits:
                    return None
                together.add(moved)
                queue.append(moved)
        # What one of them needs and another of them gives up, a third must claim.
        needed = (key for member in together for key in needs_of(member, self._records[member].latest))
        if any(key not in claimed and self._claims.owner.get(key, document) in together for key in needed):
            return None
        return together if all(not self._missed(member, together, claimed) for member in together) else None

    def _must_move(
        self, member: DocumentId, together: set[DocumentId], claimed: dict[Key, DocumentId]
    ) -> Iterator[DocumentId | None]:
        """Yield the documents outside ``together`` that must move with a member; None if nothing helps."""
        latest = self._records[member].latest
        for key in claims_of(member, latest):
            if claimed.setdefault(key, member) != member:
                yield None
            elif (owner := self._claims.owner.get(key, member)) not in together:
                yield owner
        for key in needs_of(member, latest):
            if key not in self._claims.owner and key not in claimed:
                waiting = sorted(self._waiting.get(key, ()))
                makers = [one for one in waiting if key[1] in self._records[one].latest.claims]
                if together.isdisjoint(makers):
                    yield makers[0] if makers else None
        for key in self._given_up(member):
            yield from self._claims.users(key) - together

    def _missed(
        self, member: DocumentId, together: set[DocumentId], claimed: Mapping[Key, DocumentId]
    ) -> bool:
        """Whether a document outside ``together`` needs what a member gives up and none of these claims."""
        return any(
            key not in claimed and self._claims.users(key) - together for key in self._given_up(member)
        )

    def _given_up(self, document: DocumentId) -> list[Key]:
        """Return what the version in force claims and the latest one does not."""
        record = self._records[document]
        return [key for key in claims_of(document, record.in_force) if key[1] not in record.latest.claims]

    def _replace(self, documents: Iterable[DocumentId], turn: _Turn) -> None:
        """Put the latest versions of some documents in force, all together."""
        changed: set[Key] = set()
        for document in documents:
            record = self._records[document]
            turn.before.setdefault(document, record.in_force)
            changed |= self._claims.withdraw(document, record.in_force)
        for document in documents:
            record = self._records[document]
            changed |= self._claims.enter(document, record.latest)
            record.in_force = record.latest
            if record.latest is _DELETED:
                del self._records[document]
        again = {document for key in changed for document in self._waiting.get(key, ())}
        turn.again = sorted(again.union(turn.again), reverse=True)

    def _about(self, document: DocumentId) -> list[Key]:
        """Return the claims that the latest version of a document is about."""
        latest = self._records[document].latest
        return [*claims_of(document, latest), *needs_of(document, latest), *self._given_up(document)]

    def _wait(self, document: DocumentId) -> None:
        self._records[document].waits = True
        for key in self._about(document):
            self._waiting.setdefault(key, set()).add(document)

    def _stop_waiting(self, document: DocumentId) -> None:
        """Stop waiting, whether to be put in force or because the text that waited is no more."""
        record = self._records.get(document)
        if record is None or not record.waits:
            return
        for key in self._about(document):
            discard(self._waiting, key, document)
        record.waits = False

    def _version(self, document: DocumentId | None) -> ParsedDocument | None:
        """Return the version in force of a document."""
        return None if document is None else self._records[document].in_force

    def _origins(self, document: DocumentId | None) -> tuple[Origin, ...]:
        """Return the version in force of a document, and those of the documents that it needs."""
        version = self._version(document)
        if document is None or version is None:
            return ()
        made_from = (document, *(self._claims.owner[document.namespace, claim] for claim in version.needs))
        versions = ((one, self._version(one)) for one in dict.fromkeys(made_from))
        return tuple(Origin(one, version.revision) for one, version in versions if version)

    def _changed(self, turn: _Turn) -> StoreChange:
        services: set[ServiceId] = set()
        lanes: set[str] = set()
        for document, before in turn.before.items():
            record = self._records.get(document)
            after = record.in_force if record else None
            if _same(before, after):
                continue
            users = (
                (user.namespace, self._version(user)) for user in self._users_of(document, before, after)
            )
            for namespace, version in ((document.namespace, before), (document.namespace, after), *users):
                if version and version.rule:
                    services.add(ServiceId(namespace, version.rule.service))
                elif version and isinstance(version.content, LanesDocument):
                    lanes.add(namespace)
        documents = frozenset(turn.documents)
        problems = {document: self._problems(document) for document in sorted(documents)}
        return StoreChange(frozenset(services), frozenset(lanes), documents, problems)

    def _users_of(self, document: DocumentId, *versions: ParsedDocument | None) -> set[DocumentId]:
        """Return the documents in force that need what versions of a document claim."""
        keys = (key for version in versions for key in claims_of(document, version))
        return {user for key in keys for user in self._claims.users(key)}

    def _problems(self, document: DocumentId) -> tuple[Problem, ...]:
        record = self._records.get(document)
        if record is None:
            return ()
        return (*record.latest.problems, *(self._reasons(document, record) if record.waits else ()))

    def _reasons(self, document: DocumentId, record: _Record) -> Iterator[Problem]:
        """Say why a version waits."""
        yield from self._contested(document, record.latest)
        for key in self._given_up(document):
            for user in sorted(self._claims.users(key) - {document}):
                message = f"{key[1].kind} {printable(key[1].name)} is used by {user.name}"
                yield _problem(document, record.latest, (), message, _NEEDED)

    def _contested(self, document: DocumentId, latest: ParsedDocument) -> Iterator[Problem]:
        """Say what a version claims of others or lacks, once for each field and document in its way."""
        told: set[tuple[Path, DocumentId]] = set()
        namespace = document.namespace
        for claim, path in latest.claims.items():
            owner = self._claims.owner.get((namespace, claim), document)
            if owner != document and (path, owner) not in told:
                told.add((path, owner))
                yield _problem(document, latest, path, claim.taken_by(owner.name), _CLAIMED)
        for claim, path in latest.needs.items():
            if (namespace, claim) not in self._claims.owner:
                yield _problem(document, latest, path, *self._said_of_need(namespace, claim))

    def _said_of_need(self, namespace: str, claim: Claim) -> tuple[str, str]:
        known = self._claims.names(namespace, claim.kind)
        where = f"make the document {claim.name}.list" if claim.kind == LIST else "add it to lanes.yaml"
        return f"there is no {claim.kind} {printable(claim.name)}", did_you_mean(
            claim.name, known, show=False
        ) or where


def _problem(document: DocumentId, version: ParsedDocument, path: Path, message: str, hint: str) -> Problem:
    return Problem(document.name, *version.positions.get(path, (0, 0)), render(path), message, hint)


def _same(before: ParsedDocument | None, after: ParsedDocument | None) -> bool:
    if before is None or after is None:
        return before is after
    return before.revision == after.revision and before.content == after.content
