"""How commands show what they found: for people, or as JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xds.documents.problem import Problem

Cell = str | Text

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


def plain_table(titles: Sequence[str], rows: Iterable[Iterable[Cell]]) -> Table:
    """Lay out rows without lines around them, as kubectl does."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="")
    for title in titles:
        table.add_column(title.upper(), no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))  # no markup
    return table
