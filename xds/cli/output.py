"""How commands show what they found: for people, or as JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def console() -> Console:
    """The console for people; where it is no terminal, lines are as long as they are."""
    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = 1000
    return made


def state(value: str | None) -> Text:
    """A state in its colour."""
    return Text(value or "", style=_STYLES.get(value or "", ""))


def plain_table(titles: Sequence[str], rows: Iterable[Iterable[Cell]]) -> Table:
    """Lay out rows without lines around them, as kubectl does."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="")
    for title in titles:
        table.add_column(title.upper(), no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table
