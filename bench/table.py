"""What a benchmark found, for a terminal and for docs/performance.md."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Summarise values; there must be one at least."""
        known = sorted(values)
        return cls(statistics.median(known), known[0], known[-1])


@dataclass(slots=True)
class Table:
    """One question, and the answers by size. ``aim`` is what was hoped for before measuring."""

    title: str
    aim: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, console: Console) -> None:
        """Print the table."""
        table = RichTable(title=self.title, caption=f"aim: {self.aim}", title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", highlight=False)

    def markdown(self) -> str:
        """Return the table as GitHub's Markdown."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(cells)} |".replace("\n", " ") for cells in (self.columns, rule, *self.rows)]
        notes = [f"- {note}" for note in self.notes]
        parts = [f"### {self.title}", f"Aim: {self.aim}.", "\n".join(lines), "\n".join(notes)]
        return "\n\n".join(part for part in parts if part)


def time(spread: Spread) -> str:
    """Write seconds for people: the median and, on a line below, lowest and highest in the same unit."""
    scale, unit = next(
        ((scale, unit) for scale, unit in ((1, "s"), (1e3, "ms")) if spread.median * scale >= 1),
        (1e6, "µs"),
    )
    low, high = _digits(spread.low * scale), _digits(spread.high * scale)
    return f"{_digits(spread.median * scale)} {unit}\n({low}–{high})"


def size(count: float) -> str:
    """Write a number of bytes for people, in powers of 1,000."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= scale:
            return f"{_digits(count / scale)} {unit}"
    return f"{count:.0f} B"


def ratio(this: float, that: float) -> str:
    """Write how many times ``that`` goes into ``this``."""
    return f"{_digits(this / that)}×" if that else "–"


def number(count: int) -> str:
    """Write an integer for people."""
    return f"{count:,}"


def _digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
