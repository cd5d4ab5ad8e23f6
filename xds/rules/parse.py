"""From the bytes of a document to a rule, or to everything that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from xds.rules import relations, shape, tree
from xds.rules.fault import Fault, Path, render
from xds.rules.lint import lint
from xds.rules.model import RuleDocument
from xds.rules.problem import Problem, Severity
from xds.rules.text import Mark, UnreadableError, decode

MAX_PROBLEMS = 50
"""Problems told of one document; one more says how many are left."""

MAX_REGEXES = 500
"""Regular expressions in a document. Envoy tries them one after the other, and each costs time to check."""

_EXTENSIONS = (".yaml", ".yml", ".json")


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
        root, faults = tree.compose(decode(content))
        rule, found = _read(root, default_service(document))
    except UnreadableError as error:
        return ParsedRule(None, _problems(document, [(error.mark, Fault((), error.message, error.hint))]))
    faults += [(tree.locate(root, fault.path, at_key=fault.at_key), fault) for fault in found]
    if any(fault.severity is Severity.ERROR for _, fault in faults):
        return ParsedRule(None, _problems(document, faults))
    return ParsedRule(rule, _problems(document, faults), _positions(root))


def default_service(document: str) -> str:
    """The service that a document without ``service`` is for: its name without folder and extension."""
    name = document.rpartition("/")[2]
    for extension in _EXTENSIONS:
        if name.endswith(extension):
            return name.removesuffix(extension)
    return name


def _read(root: tree.Node, name: str) -> tuple[RuleDocument | None, list[Fault]]:
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
    rule, faults = shape.read(root, values)
    faults += relations.check(values)
    if rule and not faults:
        faults += lint(rule)
    return rule, faults


def _regexes(node: tree.Node) -> Iterator[Mark]:
    if isinstance(node, tree.Sequence):
        for item in node.items:
            yield from _regexes(item)
    elif isinstance(node, tree.Mapping):
        for key, (mark, value) in node.entries.items():
            if key == "regex":
                yield mark
            yield from _regexes(value)


def _problems(document: str, faults: list[tuple[Mark, Fault]]) -> tuple[Problem, ...]:
    faults.sort(key=lambda found: found[0])
    told = sorted(
        Problem(document, *mark, render(fault.path), fault.message, fault.hint, fault.severity)
        for mark, fault in faults[:MAX_PROBLEMS]
    )
    if left := faults[MAX_PROBLEMS:]:
        mark, fault = left[0]
        told.append(Problem(document, *mark, "", f"and {len(left):,} more problems", severity=fault.severity))
    return tuple(told)


def _positions(root: tree.Node) -> dict[Path, Mark]:
    hosts = tree.find(root, ("hosts",))
    count = len(hosts.items) if isinstance(hosts, tree.Sequence) else 0
    paths: list[Path] = [("service",), *(("hosts", index) for index in range(count))]
    return {path: tree.locate(root, path) for path in paths}
