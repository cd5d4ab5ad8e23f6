"""How commands show what they found: for people, or as JSON for programs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from xds.documents.problem import Problem

Cell = str | Text

_GAP = 3
"""Spaces between two columns."""

_FEWEST = 2
"""How many columns are shown however narrow the terminal is."""

_STYLES = {
    "Programmed": "green",
    "in step": "green",
    "Programming": "yellow",
    "behind": "yellow",
    "Waiting": "yellow",
    "Rejected": "bold red",
    "rejected": "bold red",
    "Quarantined": "bold red",
    "unknown": "bold red",
}


def _known(value: str) -> str:
    if value not in {"text", "json"}:
        raise typer.BadParameter(f"{value!r} is neither text nor json")
    return value


OutputFlag = Annotated[
    str, typer.Option("--output", "-o", metavar="text|json", help="How to show it.", callback=_known)
]


def show_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(printable_in(value), ensure_ascii=False, indent=2))


def as_json(problem: Problem) -> dict[str, object]:
    """Return what is wrong with a document, with the names of the API."""
    return {
        "severity": str(problem.severity),
        "line": problem.line,
        "column": problem.column,
        "field": problem.path,
        "problem": problem.message,
        "hint": problem.hint,
    }


def printable_in(value: object) -> Any:
    """Return a value with what would steer a terminal escaped in its texts: proxies choose some of them."""
    match value:
        case str():
            return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in value)
        case dict():
            return {printable_in(key): printable_in(one) for key, one in value.items()}
        case list() | tuple():
            return [printable_in(one) for one in value]
        case _:
            return value


def console() -> Console:
    """Return the console for people; where it is no terminal, lines are as long as they are."""
    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = 1000
    return made


def state(value: str | None) -> Text:
    """Return a state in its colour."""
    return Text(value or "", style=_STYLES.get(value or "", ""))


class PlainTable:
    """Rows without lines around them, as kubectl shows them.

    Columns that do not fit beside the others are left out, the last ones first: what is left can be read.
    """

    def __init__(self, titles: Sequence[str], rows: Iterable[Iterable[Cell]]) -> None:
        self._titles = [title.upper() for title in titles]
        # No markup is read in cells.
        self._rows = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the table, as wide as may be (rich's protocol)."""
        table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="", pad_edge=False)
        fitting = self._fitting(options.max_width)
        for title in self._titles[:fitting]:
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        for row in self._rows:
            table.add_row(*row[:fitting])
        yield table

    def _fitting(self, width: int) -> int:
        """Return how many columns fit; at least two."""
        columns = zip(map(Text, self._titles), *self._rows, strict=True)
        widths = [max(cell.cell_len for cell in column) for column in columns]
        count = len(widths)
        while count > _FEWEST and sum(widths[:count]) + _GAP * (count - 1) > width:
            count -= 1
        return count


def counted(count: int, thing: str) -> str:
    """Write how many there are of a thing."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
