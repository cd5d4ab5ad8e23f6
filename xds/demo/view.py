"""Shows the split as requests flow: a live table on a terminal, a line now and then elsewhere."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from xds.demo.follow import follow
from xds.demo.notices import notice_of
from xds.demo.traffic import WINDOW, Row, Traffic

_REDRAW = 0.25
_LINE_EVERY = 5.0
_LARGE = 16 * 1024 * 1024
_BAR = 20
_PERCENT = len("100.0%")
_NUMBERS = 31  # columns that four numbers and all gaps take on a narrow terminal
_WIDE = 110  # columns of a terminal that has room for bars and long titles


async def show(console: Console, traffic: Traffic, access_log: Path) -> None:
    """Show where requests go, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_count(traffic, access_log))
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                await _redraw(live, traffic)
        else:
            await _lines(console, traffic)


async def show_notices(console: Console, log: Path) -> None:
    """Show what Grayplane's log has for the user, until cancelled."""
    async for line in follow(log):
        if (notice := notice_of(line)) is not None:
            console.print(notice.rendered(), soft_wrap=True)


async def _count(traffic: Traffic, access_log: Path) -> None:
    async for line in follow(access_log, limit=_LARGE):
        if line:
            traffic.add(line, time.monotonic())


async def _redraw(live: Live, traffic: Traffic) -> None:
    while True:
        rows = traffic.rows(time.monotonic())
        live.update(table(rows, live.console.width), refresh=True)
        await asyncio.sleep(_REDRAW)


async def _lines(console: Console, traffic: Traffic) -> None:
    while True:
        await asyncio.sleep(_LINE_EVERY)
        for line in lines(traffic.rows(time.monotonic())):
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def table(rows: Iterable[Row], width: int) -> Table:
    """Lay the counts out, one row for each path that requests took, in so many columns of a terminal.

    Names give way first: a share or a count is never cut.
    """
    wide = width >= _WIDE
    recent = f"last {WINDOW} s"
    laid_out = Table(box=box.HEAVY_HEAD if wide else box.SIMPLE_HEAD, padding=(0, 1 if wide else 0))
    for_names = width - _NUMBERS
    for title, part in (("service", 3), ("rule", 3), ("subset", 6), ("version", 6)):
        most = None if wide else max(1, for_names // part)
        laid_out.add_column(title, no_wrap=True, overflow="ellipsis", max_width=most)
    shares = f"share of the rule, {recent}" if wide else "share"
    laid_out.add_column(shares, no_wrap=True, min_width=_PERCENT + (_BAR + 1 if wide else 0))
    for title in (f"requests, {recent}" if wide else recent.removeprefix("last "), "all", "failed"):
        laid_out.add_column(title, justify="right", no_wrap=True, min_width=6)
    for row in rows:
        path = row.path
        laid_out.add_row(
            *((path.service, path.rule, path.subset) if path.service else ("no such host", path.rule, "")),
            path.version,
            _share(row.share, bar=wide),
            str(row.recent),
            str(row.total),
            Text(str(row.failures), style="bold red" if row.failures else ""),
        )
    if not laid_out.row_count:
        laid_out.add_row("no requests yet")
    return laid_out


def _share(share: float | None, *, bar: bool) -> str:
    if share is None:
        return ""
    percent = f"{share:{_PERCENT}.1%}"
    return f"{percent} {'━' * round(share * _BAR)}" if bar else percent


def lines(rows: Iterable[Row]) -> list[str]:
    """Say the same of the recent requests, a line for each rule."""
    by_rule: dict[str, list[str]] = {}
    for row in rows:
        if row.share is not None:
            path = row.path
            rule = f"{path.service} {path.rule}" if path.service else f"no such host {path.rule}"
            to = " ".join(part for part in (path.subset, path.version) if part) or "nowhere"
            failed = f", {row.failures} failed so far" if row.failures else ""
            by_rule.setdefault(rule, []).append(f"{to} {row.share:.1%} ({row.recent}{failed})")
    return [f"{rule}, last {WINDOW} s: {'; '.join(shares)}" for rule, shares in by_rule.items()]
