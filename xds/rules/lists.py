"""List documents: values, one a line."""

from dataclasses import dataclass

from xds.documents.defect import Defect, quoted
from xds.documents.problem import Severity
from xds.documents.text import Mark, UnreadableError

MAX_BYTES = 10 << 20
"""The largest list that is read, as large as a document in Nacos may be."""

MAX_VALUES = 100_000
"""The most values of a list."""


@dataclass(frozen=True, slots=True)
class ListDocument:
    """The values of a list, in the order of the document, none twice."""

    values: tuple[str, ...]


def read_list(text: str) -> tuple[ListDocument, list[tuple[Mark, Defect]]]:
    """Read a list: one value a line; blanks around it are no part of it.

    ``#`` begins a comment at the beginning of a line and after a blank; elsewhere it is part of the value.
    Raise ``UnreadableError`` if there are too many values.
    """
    first: dict[str, int] = {}
    defects: list[tuple[Mark, Defect]] = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        value = line.strip()
        if "#" in value:
            value = _without_comment(value)
        if not value:
            continue
        known = first.setdefault(value, number)
        if known == number and len(first) <= MAX_VALUES:
            continue
        mark = Mark(number, len(line) - len(line.lstrip()) + 1)
        if known == number:
            hint = "split it into several lists, or match by percentage"
            raise UnreadableError(mark, f"more than {MAX_VALUES:,} values", hint)
        message = f"{quoted(value)} is given twice, first at line {known}"
        defects.append((mark, Defect((), message, "remove one", severity=Severity.WARNING)))
    return ListDocument(tuple(first)), defects


def _without_comment(value: str) -> str:
    if value.startswith("#"):
        return ""
    for comment in (" #", "\t#"):
        value = value.partition(comment)[0]
    return value.rstrip()
