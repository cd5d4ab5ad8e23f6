"""From the bytes of a document to a rule, or to everything that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from xds.documents import stem_of, tree
from xds.documents.defect import Defect, Path, render
from xds.documents.problem import Problem, Severity
from xds.documents.schema_errors import Reader
from xds.documents.text import Mark, UnreadableError, decode
from xds.rules import cross_checks
from xds.rules.lint import lint
from xds.rules.model import HttpRule, Match, RuleDocument, StringMatcher, Subset, UriMatcher
from xds.rules.not_yet import not_yet

MAX_PROBLEMS = 50
"""Problems told of one document; one more says how many are left."""

MAX_REGEXES = 500
"""Regular expressions in a document. Envoy tries them one after the other, and each costs time to check."""

_READER = Reader(
    RuleDocument,
    examples={
        HttpRule: "such as {{name: canary, match: [{{headers: {{x-release: {{exact: canary}}}}}}], "
        "route: [{{subset: gray}}]}}",
        Match: "such as {{headers: {{x-release: {{exact: canary}}}}}}",
        StringMatcher: "write {{exact: {0}}}",
        Subset: "such as {{labels: {{version: v2}}}}",
        UriMatcher: "write {{prefix: {0}}} or {{exact: {0}}}",
    },
    missing={
        "name": "a name for logs and metrics",
        "subset": "the name of a subset",
        "labels": "the metadata that instances must have, such as {version: v2}",
        "start": "the lowest integer that matches",
        "end": "the integer after the highest that matches",
    },
)


@dataclass(frozen=True, slots=True)
class ParsedRule:
    """One text of one document.

    ``rule`` is None if any of ``problems``, which are sorted by position, is an error. ``positions`` tells
    where the service and each host stand, for what is wrong only beside other documents.
    """

    rule: RuleDocument | None
    problems: tuple[Problem, ...] = ()
    positions: Mapping[Path, Mark] = field(default_factory=dict)


def parse(document: str, content: bytes) -> ParsedRule:
    """Read a rule document; ``document`` is its dataId or file name. Never raises, bounded in time.

    ``content`` is YAML or JSON in UTF-8 of at most 1 MiB. Without ``service`` the rule is for the service
    that the document is named after.
    """
    try:
        root, defects = tree.compose(decode(content))
        rule, found = _read(root, stem_of(document))
    except UnreadableError as error:
        return ParsedRule(None, _problems(document, [(error.mark, Defect((), error.message, error.hint))]))
    defects += [(tree.locate(root, defect.path, at_key=defect.at_key), defect) for defect in found]
    if any(defect.severity is Severity.ERROR for _, defect in defects):
        return ParsedRule(None, _problems(document, defects))
    return ParsedRule(rule, _problems(document, defects), _positions(root))


def _read(root: tree.Node, name: str) -> tuple[RuleDocument | None, list[Defect]]:
    if isinstance(root, tree.Refused):
        raise UnreadableError(root.mark, root.message, root.hint)
    if not isinstance(root, tree.Mapping):
        kind = "a list" if isinstance(root, tree.Sequence) else "text"
        raise UnreadableError(
            root.mark, f"a rule is a mapping of fields, this is {kind}", "begin with `service:`"
        )
    if name == "lanes":
        raise UnreadableError(root.mark, "lanes are not supported yet", "name the document after a service")
    if too_many := next(islice(_regexes(root), MAX_REGEXES, None), None):
        raise UnreadableError(
            too_many, f"more than {MAX_REGEXES} regular expressions", "use in, exact or prefix"
        )
    values = tree.mapping_data(root)
    values.setdefault("service", name)
    rule, defects = _READER.read(root, values)
    defects += cross_checks.check(values)
    if rule and not defects:
        defects += not_yet(rule)
    if rule and not defects:
        defects += lint(rule)
    return rule, defects


def _regexes(node: tree.Node) -> Iterator[Mark]:
    if isinstance(node, tree.Sequence):
        for item in node.items:
            yield from _regexes(item)
    elif isinstance(node, tree.Mapping):
        for key, (mark, value) in node.entries.items():
            if key == "regex":
                yield mark
            yield from _regexes(value)


def _problems(document: str, defects: list[tuple[Mark, Defect]]) -> tuple[Problem, ...]:
    defects.sort(key=lambda found: found[0])
    told = sorted(
        Problem(document, *mark, render(defect.path), defect.message, defect.hint, defect.severity)
        for mark, defect in defects[:MAX_PROBLEMS]
    )
    if left := defects[MAX_PROBLEMS:]:
        mark, defect = left[0]
        told.append(
            Problem(document, *mark, "", f"and {len(left):,} more problems", severity=defect.severity)
        )
    return tuple(told)


def _positions(root: tree.Node) -> dict[Path, Mark]:
    hosts = tree.find(root, ("hosts",))
    count = len(hosts.items) if isinstance(hosts, tree.Sequence) else 0
    paths: list[Path] = [("service",), *(("hosts", index) for index in range(count))]
    return {path: tree.locate(root, path) for path in paths}
