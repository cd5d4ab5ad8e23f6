"""What becomes of documents that a command publishes, or would."""

import difflib
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from xds.cli.documents import report
from xds.cli.output import as_json, printable_in, show_json
from xds.documents.problem import Problem, Severity

_MOST_LINES = 500
"""How many lines of a difference people are shown."""

_NO_END = "\\ No newline at end of file"
_STYLES = {
    "+": "green",
    "-": "red",
    "@": "cyan",
    "published": "green",
    "rejected": "red",
    "not published": "red",
}
_console = Console(highlight=False, soft_wrap=True)


class Outcomes:
    """Tells what becomes of documents: to people at once, to programs at the end."""

    def __init__(self, output: str) -> None:
        self._json = output == "json"
        # What became of each document, for programs. Written by `problems`, `outcome` and `diff`.
        self._documents: dict[str, dict[str, object]] = {}

    def problems(self, document: str, content: bytes, problems: Sequence[Problem]) -> bool:
        """Tell what is wrong with a document; return whether it may not be published."""
        if problems:
            self._documents.setdefault(document, {})["problems"] = [as_json(each) for each in problems]
        for each in () if self._json else problems:
            _console.print(report(each, content))
        return any(each.severity is Severity.ERROR for each in problems)

    def outcome(self, document: str, outcome: str) -> None:
        """Tell that a document is unchanged, there, published, not published or rejected."""
        self._documents.setdefault(document, {})["outcome"] = outcome
        if not self._json:
            _console.print(Text(f"{document}: {outcome}", _STYLES.get(outcome, "")))

    def diff(self, document: str, before: str, after: str) -> None:
        """Tell what changes in a document."""
        names = (f"{document} in Nacos", document)
        lines = list(difflib.unified_diff(_lines(before), _lines(after), *names, lineterm=""))
        told = self._documents.setdefault(document, {})
        told |= {"outcome": "would change", "diff": "\n".join(lines)}
        if self._json:
            return
        for line in lines[:_MOST_LINES]:
            _console.print(Text(printable_in(line), _STYLES.get(line[:1], "")))
        if len(lines) > _MOST_LINES:
            _console.print(Text(f"and {len(lines) - _MOST_LINES:,} more lines"))

    def end(self) -> None:
        """Tell programs."""
        if self._json:
            found = [{"document": document, **told} for document, told in sorted(self._documents.items())]
            show_json({"documents": found})


def _lines(text: str) -> list[str]:
    """Return the lines of a text. Whether the last one has an end is told as `diff` tells it."""
    if not text:
        return []
    *lines, last = text.split("\n")
    return [*lines, *([last, _NO_END] if last else [])]
