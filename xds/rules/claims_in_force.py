"""Which document in force has a claim, and which need it."""

from collections.abc import Set

from xds.documents import DocumentId
from xds.rules.claims import LANE, LIST, Claim
from xds.rules.instance import ServiceId
from xds.rules.parse import ParsedDocument

Key = tuple[str, Claim]
"""A claim in a namespace."""

_SUGGESTED = (LANE, LIST)
"""The kinds of claims whose names are suggested to an author who misspelled one."""


class ClaimsInForce:
    """The claims and needs of all versions in force, by claim."""

    def __init__(self) -> None:
        # All are written by ``enter`` and ``withdraw`` alone.
        self.owner: dict[Key, DocumentId] = {}  # the one document that has a claim
        self.documents: dict[ServiceId, DocumentId] = {}  # those that have the rules of services
        self._users: dict[Key, set[DocumentId]] = {}  # the documents that need a claim
        self._names: dict[tuple[str, str], set[str]] = {}  # of a namespace, by kind of claim

    def users(self, key: Key) -> Set[DocumentId]:
        """Return the documents that need a claim."""
        return self._users.get(key, frozenset())

    def names(self, namespace: str, kind: str) -> Set[str]:
        """Return the names of the lists, or of the lanes, of a namespace."""
        return self._names.get((namespace, kind), frozenset())

    def enter(self, document: DocumentId, version: ParsedDocument) -> set[Key]:
        """Put a version in force; return the claims that it is about."""
        claims, needs = claims_of(document, version), needs_of(document, version)
        for key in claims:
            self.owner[key] = document
            if key[1].kind in _SUGGESTED:
                self._names.setdefault((key[0], key[1].kind), set()).add(key[1].name)
        for key in needs:
            self._users.setdefault(key, set()).add(document)
        if version.rule:
            self.documents[ServiceId(document.namespace, version.rule.service)] = document
        return {*claims, *needs}

    def withdraw(self, document: DocumentId, version: ParsedDocument | None) -> set[Key]:
        """Take a version out of force; return the claims that it is about."""
        claims, needs = claims_of(document, version), needs_of(document, version)
        for key in claims:
            del self.owner[key]
            if key[1].kind in _SUGGESTED:
                self._names[key[0], key[1].kind].discard(key[1].name)
        for key in needs:
            discard(self._users, key, document)
        if version and version.rule:
            del self.documents[ServiceId(document.namespace, version.rule.service)]
        return {*claims, *needs}


def claims_of(document: DocumentId, version: ParsedDocument | None) -> list[Key]:
    """Return what a version of a document claims."""
    return [(document.namespace, claim) for claim in version.claims] if version else []


def needs_of(document: DocumentId, version: ParsedDocument | None) -> list[Key]:
    """Return what a version of a document needs others to claim."""
    return [(document.namespace, claim) for claim in version.needs] if version else []


def discard(index: dict[Key, set[DocumentId]], key: Key, document: DocumentId) -> None:
    """Remove a document from those of a claim, and the claim if it was the last."""
    documents = index[key]
    documents.discard(document)
    if not documents:
        del index[key]
