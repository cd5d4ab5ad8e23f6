"""What documents hold for themselves, and what they need of each other.

A *claim* is a name that one document of a namespace can have: a service, a host on a gateway, a list, a lane.
A *need* is a claim that another document must have: of the list or lane that a rule names. Names that differ
only in case are the same service and the same host, as they are for Envoy.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xds.documents.defect import Path
from xds.rules.lists import ListDocument
from xds.rules.model import LanesDocument, ListReference, Match, RuleDocument

SERVICE, LANE, LANES, LIST, GATEWAY = "service", "lane", "lanes", "list", "gateway "

Content = RuleDocument | LanesDocument | ListDocument
"""What a document of each kind says."""


class Claim(NamedTuple):
    """A name of a kind: ``SERVICE``, ``LANE``, ``LANES``, ``LIST``, or ``GATEWAY`` and a gateway."""

    kind: str
    name: str

    def taken_by(self, document: str) -> str:
        """Say that another document has it."""
        if self.kind.startswith(GATEWAY):
            return f"{self.name} on {self.kind} is served by {document}"
        if self.kind == SERVICE:
            return f"{document} is for this service"
        return f"{document} has the lanes" if self.kind == LANES else f"{document} has this {self.kind}"


def claims_of(content: Content, stem: str) -> dict[Claim, Path]:
    """Return what a document claims, and the field that says so; ``stem`` is its name without extension."""
    match content:
        case RuleDocument():
            claims: dict[Claim, Path] = {Claim(SERVICE, content.service.lower()): ("service",)}
            for index, alias in enumerate(content.aliases):
                claims.setdefault(Claim(SERVICE, alias.lower()), ("aliases", index))
            for index, host in enumerate(content.hosts):
                hosts = (Claim(GATEWAY + gateway, host) for gateway in content.gateways)
                claims |= dict.fromkeys(hosts, ("hosts", index))
            return claims
        case LanesDocument():
            lanes = {Claim(LANE, lane.name): ("lanes", i, "name") for i, lane in enumerate(content.lanes)}
            return {Claim(LANES, ""): ("lanes",), **lanes}
        case ListDocument():
            return {Claim(LIST, stem): ()}


def needs_of(content: Content) -> dict[Claim, Path]:
    """Return the claims of others that a document needs, and the first field that says so."""
    match content:
        case RuleDocument():
            matches = [(("http", i, "match"), rule.match) for i, rule in enumerate(content.http)]
        case LanesDocument():
            matches = [(("lanes", i, "enter"), lane.enter) for i, lane in enumerate(content.lanes)]
        case ListDocument():
            matches = []
    needs: dict[Claim, Path] = {}
    for path, alternatives in matches:
        for claim, place in _needs_of_matches(path, alternatives):
            needs.setdefault(claim, place)
    return needs


def _needs_of_matches(path: Path, alternatives: Iterable[Match]) -> Iterator[tuple[Claim, Path]]:
    for index, match in enumerate(alternatives):
        if match.lane is not None:
            yield Claim(LANE, match.lane), (*path, index, "lane")
        tested = (("headers", match.headers), ("cookies", match.cookies), ("query", match.query))
        for kind, matchers in tested:
            for name, matcher in matchers.items():
                if isinstance(matcher.in_, ListReference):
                    yield Claim(LIST, matcher.in_.list), (*path, index, kind, name, "in", "list")
