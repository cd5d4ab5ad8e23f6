"""Shows the split as requests flow: a live table on a terminal, a line now and then elsewhere."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

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
        live.update(table(traffic.rows(time.monotonic())), refresh=True)
        await asyncio.sleep(_REDRAW)


async def _lines(console: Console, traffic: Traffic) -> None:
    while True:
        await asyncio.sleep(_LINE_EVERY)
        for line in lines(traffic.rows(time.monotonic())):
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def table(rows: Iterable[Row]) -> Table:
    """Lay the counts out, one row for each path that requests took."""
    recent = f"last {WINDOW} s"
    laid_out = Table("service", "rule", "subset", "version", f"share of the rule, {recent}")
    for title in (f"requests, {recent}", "all", "failed"):
        laid_out.add_column(title, justify="right")
    for row in rows:
        path = row.path
        laid_out.add_row(
            *((path.service, path.rule, path.subset) if path.service else ("no such host", path.rule, "")),
            path.version,
            _bar(row.share),
            str(row.recent),
            str(row.total),
            Text(str(row.failures), style="bold red" if row.failures else ""),
        )
    if not laid_out.row_count:
        laid_out.add_row("no requests yet")
    return laid_out


def _bar(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share:6.1%} {'━' * round(share * _BAR)}"


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
