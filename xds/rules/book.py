"""Which version of which document is in force.

The book keeps for every document the version *in force*, the last good one, and its latest text. If that is
good but at odds with another document, it is *held*: it waits, and the version in force stays. Documents are
at odds when they are for the same service or serve the same host on the same gateway; names that differ only
in case are the same, as they are for Envoy. What a version lays hold of are its *claims*:

- ``_owners`` knows for every claim the one document in force that has it;
- ``_waiting`` knows for every claim the documents held that want it.

The one in force wins. A held version is tried again when a claim that it wants changes hands; versions that
wait for each other, such as two documents that swap their hosts, take their places together.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from xds.documents.defect import Path, render
from xds.documents.problem import Problem
from xds.rules.model import RuleDocument
from xds.rules.parse import ParsedRule, parse

Claim = tuple[str, str]
"""A gateway and a host on it, or '' and a service; host and service in lower case."""


@dataclass(frozen=True, slots=True)
class BookChange:
    """What a change of documents led to.

    ``services`` are those whose rule in force is another one now, or none. ``documents`` are those whose
    standing may have changed: the ones applied and those that wait beside them. ``problems`` is all that is
    wrong with these now.
    """

    services: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    documents: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Entry:
    """What the book knows of a document. ``held``: the latest text is good, and waits."""

    latest: ParsedRule
    held: bool = False
    in_force: RuleDocument | None = None


@dataclass(slots=True)
class _Turn:
    """What one call has changed so far, and the held documents that have to be tried again."""

    services: dict[str, RuleDocument | None] = field(default_factory=dict)  # as they were before
    documents: set[str] = field(default_factory=set)
    again: list[str] = field(default_factory=list)


class RuleBook:
    """The rules in force, by service. What a change costs does not grow with the number of documents."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._services: dict[str, str] = {}
        self._owners: dict[Claim, str] = {}
        self._waiting: dict[Claim, set[str]] = {}

    def rule(self, service: str) -> RuleDocument | None:
        """The rule in force for a service."""
        document = self._services.get(service)
        return None if document is None else self._entries[document].in_force

    def document_of(self, service: str) -> str:
        """The document whose rule is in force for a service; `KeyError` if there is none."""
        return self._services[service]

    def services(self) -> frozenset[str]:
        """The services with a rule in force."""
        return frozenset(self._services)

    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong with the documents as they are now, by document and position."""
        return self._problems_of(self._entries)

    def load(self, documents: Mapping[str, ParsedRule]) -> BookChange:
        """Apply many documents at once: of two that are at odds the first by name wins, not by arrival."""
        turn = _Turn()
        for document in sorted(documents):
            self._apply(document, documents[document], turn)
        return self._changed(turn)

    def apply(self, document: str, content: bytes | None) -> BookChange:
        """Read the text of a document that is new or changed, or forget a deleted one (None)."""
        return self.apply_parsed(document, None if content is None else parse(document, content))

    def apply_parsed(self, document: str, parsed: ParsedRule | None) -> BookChange:
        """Do as `apply` does, with a text that was parsed elsewhere: that takes longer than the rest."""
        turn = _Turn()
        self._apply(document, parsed, turn)
        return self._changed(turn)

    def _apply(self, document: str, parsed: ParsedRule | None, turn: _Turn) -> None:
        turn.documents.add(document)
        self._release(document)
        if parsed is None:
            self._replace({document: None}, turn)
            self._entries.pop(document, None)
        else:
            self._entries.setdefault(document, _Entry(parsed)).latest = parsed
            if parsed.rule:
                self._try(document, parsed.rule, turn)
        while turn.again:
            waiting = turn.again.pop()
            entry = self._entries[waiting]
            if entry.held and entry.latest.rule:
                turn.documents.add(waiting)
                self._release(waiting)
                self._try(waiting, entry.latest.rule, turn)

    def _try(self, document: str, rule: RuleDocument, turn: _Turn) -> None:
        """Put a version in force, with those that it needs to move; or hold it."""
        if together := self._together(document, rule):
            turn.documents |= together.keys()
            for moved in together:
                self._release(moved)
            self._replace(together, turn)
        else:
            self._hold(document, rule)

    def _together(self, document: str, rule: RuleDocument) -> dict[str, RuleDocument] | None:
        """The versions that can take their places at once so that ``rule`` can; None if nothing helps."""
        group = {document: rule}
        wanted: dict[Claim, str] = {}
        queue = [document]
        while queue:
            member = queue.pop()
            for claim in _claims(group[member]):
                if wanted.setdefault(claim, member) != member:
                    return None
                owner = self._owners.get(claim, member)
                if owner in group:
                    continue
                entry = self._entries[owner]
                if not entry.held or entry.latest.rule is None:
                    return None
                group[owner] = entry.latest.rule
                queue.append(owner)
        return group

    def _replace(self, rules: Mapping[str, RuleDocument | None], turn: _Turn) -> None:
        """Put new versions (None: no version) of some documents in force, all together."""
        before: dict[Claim, str | None] = {}
        for document in rules:
            entry = self._entries.get(document)
            if entry and entry.in_force:
                turn.services.setdefault(entry.in_force.service, entry.in_force)
                del self._services[entry.in_force.service]
                before |= {claim: self._owners.pop(claim) for claim in _claims(entry.in_force)}
        for document, rule in rules.items():
            if rule:
                self._entries[document].in_force = rule
                turn.services.setdefault(rule.service, None)
                self._services[rule.service] = document
                for claim in _claims(rule):
                    before.setdefault(claim, None)
                    self._owners[claim] = document
        changed = (claim for claim, owner in before.items() if self._owners.get(claim) != owner)
        again = {document for claim in changed for document in self._waiting.get(claim, ())}
        turn.again = sorted(again.union(turn.again), reverse=True)

    def _hold(self, document: str, rule: RuleDocument) -> None:
        self._entries[document].held = True
        for claim in _claims(rule):
            self._waiting.setdefault(claim, set()).add(document)

    def _release(self, document: str) -> None:
        """Stop waiting, whether to take a place or because the text that waited is no more."""
        entry = self._entries.get(document)
        if entry is None or not entry.held or entry.latest.rule is None:
            return
        entry.held = False
        for claim in _claims(entry.latest.rule):
            waiting = self._waiting[claim]
            waiting.discard(document)
            if not waiting:
                del self._waiting[claim]

    def _changed(self, turn: _Turn) -> BookChange:
        services = {service for service, before in turn.services.items() if self.rule(service) != before}
        documents = frozenset(turn.documents)
        return BookChange(frozenset(services), self._problems_of(documents), documents)

    def _problems_of(self, documents: Iterable[str]) -> tuple[Problem, ...]:
        known = [(name, entry) for name in sorted(documents) if (entry := self._entries.get(name))]
        return tuple(
            problem
            for document, entry in known
            for problem in (*entry.latest.problems, *self._conflicts(document, entry))
        )

    def _conflicts(self, document: str, entry: _Entry) -> Iterator[Problem]:
        """Say why a version is held, once for each of its fields and each document that is in its way."""
        if not entry.held or entry.latest.rule is None:
            return
        told: set[tuple[Path, str]] = set()
        for claim, path in _claims(entry.latest.rule).items():
            owner = self._owners.get(claim, document)
            if owner == document or (path, owner) in told:
                continue
            told.add((path, owner))
            gateway, name = claim
            message = (
                f"{name} on gateway {gateway} is served by {owner}"
                if gateway
                else f"{owner} is for this service"
            )
            mark = entry.latest.positions.get(path, (0, 0))
            hint = "remove it from one of the two; until then the last good version stays in force"
            yield Problem(document, *mark, render(path), message, hint)


def _claims(rule: RuleDocument) -> dict[Claim, Path]:
    """What ``rule`` lays hold of, and the field that says so."""
    claims: dict[Claim, Path] = {("", rule.service.lower()): ("service",)}
    for index, host in enumerate(rule.hosts):
        claims |= dict.fromkeys(((gateway, host) for gateway in rule.gateways), ("hosts", index))
    return claims
