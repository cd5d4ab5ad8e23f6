"""From the bytes of a document to what it says, or to everything that is wrong with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from pydantic import BaseModel

from xds.documents import Kind, Revision, kind_of, revision_of, stem_of, tree
from xds.documents.defect import Defect, Path, render
from xds.documents.problem import Problem, Severity
from xds.documents.schema_errors import Reader
from xds.documents.text import Mark, UnreadableError, decode
from xds.rules import cross_checks
from xds.rules.advice import advise
from xds.rules.claims import Claim, Content, claims_of, needs_of
from xds.rules.grpc_limits import grpc_limits
from xds.rules.lint import lint
from xds.rules.lists import MAX_BYTES as MAX_LIST_BYTES
from xds.rules.lists import read_list
from xds.rules.model import HttpRule, LanesDocument, Match, RuleDocument, StringMatcher, Subset, UriMatcher
from xds.rules.webhook_hosts import WebhookHosts

MAX_PROBLEMS = 50
"""Problems told of one document; one more says how many are left."""

MAX_REGEXES = 500
"""Regular expressions in a document. Envoy tries them one after the other, and each costs time to check."""

LANES = "lanes.yaml"
"""The document that has the lanes."""

_EXAMPLES: dict[type[BaseModel], str] = {
    HttpRule: "such as {{name: canary, match: [{{headers: {{x-release: {{exact: canary}}}}}}], "
    "route: [{{subset: gray}}]}}",
    Match: "such as {{headers: {{x-release: {{exact: canary}}}}}}",
    StringMatcher: "write {{exact: {0}}}",
    Subset: "such as {{labels: {{version: v2}}}}",
    UriMatcher: "write {{prefix: {0}}} or {{exact: {0}}}",
}
_MISSING = {
    "name": "a name for logs and metrics",
    "subset": "the name of a subset",
    "labels": "the metadata that instances must have, such as {version: v2}",
    "start": "the lowest integer that matches",
    "end": "the integer after the highest that matches",
}
_RULES = Reader(RuleDocument, _EXAMPLES, _MISSING)
_LANES = Reader(LanesDocument, _EXAMPLES, _MISSING)

_Located = tuple[Mark, Defect]

ExactOnly = Callable[[str], bool]
"""Whether a gateway cannot serve wildcard hosts, as the operator set it up (``routes: scoped``)."""

_ANY_HOST = WebhookHosts()


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """One text of one document.

    ``content`` is None if any of ``problems``, which are sorted by position, is an error. ``claims`` and
    ``needs`` are what it holds and needs beside other documents, and the fields that say so; ``positions``
    is where these fields, the subsets and the group stand.
    """

    content: Content | None
    problems: tuple[Problem, ...] = ()
    revision: Revision = ""
    claims: Mapping[Claim, Path] = field(default_factory=dict)
    needs: Mapping[Claim, Path] = field(default_factory=dict)
    positions: Mapping[Path, Mark] = field(default_factory=dict)

    @property
    def rule(self) -> RuleDocument | None:
        """What the document says if it holds the rules of a service."""
        return self.content if isinstance(self.content, RuleDocument) else None


def parse(
    document: str,
    content: bytes,
    exact_only: ExactOnly = lambda _: False,
    advice_at: datetime | None = None,
    *,
    groups: Sequence[str] | None = None,
    webhook_hosts: WebhookHosts = _ANY_HOST,
    was_in_force: bool = False,
) -> ParsedDocument:
    """Read a document; ``document`` is its dataId or file name, which says its kind. It raises nothing.

    Rules and lanes are YAML or JSON in UTF-8 of at most 1 MiB, lists are text of at most 10 MiB. Rules
    without ``service`` are for the service that the document is named after. The time is bounded.
    With ``advice_at``, the time now, it says also what ``xds.rules.advice`` has to say. ``groups`` are the
    naming groups that a rule may name; None: any. Of a text that ``was_in_force``, webhooks on hosts that are
    not among ``webhook_hosts`` are a warning: the operator may have taken hosts off, which must not take the
    rules away.
    """
    revision = revision_of(content)
    try:
        said, root, found = _read(document, content, exact_only, groups)
        if isinstance(said, RuleDocument):
            severity = Severity.WARNING if was_in_force else Severity.ERROR
            found += _located(root, cross_checks.check_webhooks(said, webhook_hosts, severity))
    except UnreadableError as error:
        unreadable = [(error.mark, Defect((), error.message, error.hint))]
        return ParsedDocument(None, _problems(document, unreadable), revision)
    advice = advise(said, advice_at) if isinstance(said, RuleDocument) and advice_at else ()
    problems = _problems(document, [*found, *_located(root, advice)])
    if said is None or any(defect.severity is Severity.ERROR for _, defect in found):
        return ParsedDocument(None, problems, revision)
    claims, needs = claims_of(said, stem_of(document)), needs_of(said)
    positions = _positions(root, said, {*claims.values(), *needs.values()})
    return ParsedDocument(said, problems, revision, claims, needs, positions)


def _read(
    document: str, content: bytes, exact_only: ExactOnly, groups: Sequence[str] | None
) -> tuple[Content | None, tree.Node | None, list[_Located]]:
    """Return what a document says, its tree, and what is wrong with it. Lists have no tree."""
    kind = kind_of(document)
    if kind is Kind.LIST:
        values, found = read_list(decode(content, MAX_LIST_BYTES))
        return values, None, found
    text = decode(content)
    root, found = tree.compose(text)
    if text.count("regex") > MAX_REGEXES:
        _refuse_many_regexes(root)
    said: Content | None
    if kind is Kind.LANES:
        said, defects = _lanes(root, document)
    else:
        said, defects = _rules(root, stem_of(document), exact_only, groups)
    return said, root, [*found, *_located(root, defects)]


def _located(root: tree.Node | None, defects: Iterable[Defect]) -> list[_Located]:
    """Find where in a document defects stand."""
    return [(tree.locate(root, one.path, at_key=one.at_key), one) for one in defects] if root else []


def _positions(root: tree.Node | None, said: Content, paths: set[Path]) -> dict[Path, Mark]:
    """Find where fields stand, and in a rule the subsets and the group."""
    if isinstance(said, RuleDocument):
        paths = paths | {("subsets", name) for name in said.subsets}
        paths |= {("group",)} if said.group is not None else set()
    return {path: tree.locate(root, path) for path in paths} if root else {}


def _rules(
    root: tree.Node, stem: str, exact_only: ExactOnly, groups: Sequence[str] | None
) -> tuple[RuleDocument | None, list[Defect]]:
    values = {"service": stem, **_mapping(root, "a rule is a mapping of fields", "begin with `service:`")}
    rule, defects = _RULES.read(root, values)
    defects += cross_checks.check(values)
    if rule:
        defects += cross_checks.check_gateways(rule, exact_only)
        defects += cross_checks.check_group(rule, groups) if groups is not None else ()
    if rule and not defects and "grpc" in rule.clients:
        defects += grpc_limits(rule)
    if rule and not defects:
        defects += lint(rule)
    return rule, defects


def _lanes(root: tree.Node, document: str) -> tuple[LanesDocument | None, list[Defect]]:
    if not document.endswith(LANES):
        raise UnreadableError(root.mark, "lanes stand in another document", f"call it {LANES}")
    values = _mapping(root, "lanes are a mapping", "begin with `lanes:`")
    lanes, defects = _LANES.read(root, values)
    defects += cross_checks.check_lanes(values)
    return lanes, defects


def _mapping(root: tree.Node, expected: str, hint: str) -> dict[str, tree.Data]:
    """Return the plain values of a document that is a mapping."""
    if isinstance(root, tree.Refused):
        raise UnreadableError(root.mark, root.message, root.hint)
    if not isinstance(root, tree.Mapping):
        kind = "a list" if isinstance(root, tree.Sequence) else "text"
        raise UnreadableError(root.mark, f"{expected}, this is {kind}", hint)
    return root.value


def _refuse_many_regexes(root: tree.Node) -> None:
    if too_many := next(islice(_regexes(root), MAX_REGEXES, None), None):
        message, hint = f"more than {MAX_REGEXES} regular expressions", "use in, exact or prefix"
        raise UnreadableError(too_many, message, hint)


def _regexes(node: tree.Node) -> Iterator[Mark]:
    if isinstance(node, tree.Sequence):
        for item in node.items:
            yield from _regexes(item)
    elif isinstance(node, tree.Mapping):
        for key, item in node.items.items():
            if key == "regex":
                yield node.mark_of(key)
            yield from _regexes(item)


def _problems(document: str, found: Sequence[_Located]) -> tuple[Problem, ...]:
    if not found:
        return ()
    defects = sorted(found, key=lambda one: one[0])
    told = sorted(
        Problem(document, *mark, render(one.path), one.message, one.hint, one.severity)
        for mark, one in defects[:MAX_PROBLEMS]
    )
    if left := defects[MAX_PROBLEMS:]:
        mark, one = left[0]
        told.append(Problem(document, *mark, "", f"and {len(left):,} more problems", severity=one.severity))
    return tuple(told)
