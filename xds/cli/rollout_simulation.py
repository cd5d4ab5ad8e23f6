"""`grayplane rollout simulate`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xds.cli.errors import FAILED
from xds.cli.output import OutputFlag, show_json
from xds.documents import stem_of
from xds.rules.parse import parse

if TYPE_CHECKING:
    from xds.rollout.plan import Plan
    from xds.rollout.simulation import Moment, Traffic

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A rule document.")
]
_PERCENT = {"min": 0.0, "max": 100.0}


def simulate(
    file: FileArgument,
    *,
    traffic: Annotated[float, typer.Option(help="Requests a second to the whole service.", min=0.0)] = 100.0,
    errors: Annotated[float, typer.Option(help="Percent of errors of the new version.", **_PERCENT)] = 0.1,
    baseline_errors: Annotated[
        float, typer.Option(help="Percent of errors of the baseline.", **_PERCENT)
    ] = 0.1,
    latency: Annotated[
        float, typer.Option(help="Median latency of the new version, in ms; p99 is five times it.", min=0.1)
    ] = 20.0,
    baseline_latency: Annotated[
        float, typer.Option(help="Median latency of the baseline, in ms.", min=0.1)
    ] = 20.0,
    from_weight: Annotated[
        float, typer.Option(help="The weight from which on the new version is bad.", **_PERCENT)
    ] = 0.0,
    runs: Annotated[int, typer.Option(help="Play it so often, and count how it ends.", min=1)] = 20,
    start: Annotated[
        datetime | None, typer.Option(help="When it begins; UTC unless it says otherwise. Default: now.")
    ] = None,
    output: OutputFlag = "text",
) -> None:
    """Play the rollout of a document in virtual time: what would the analysis do with such a version?

    Approvals are given at once, webhooks agree, and Prometheus queries are within their bounds.
    """
    from xds.rollout.simulation import Behaviour, Traffic, simulate as play  # noqa: I001, PLC0415

    plan = _plan(file)
    begins = start or datetime.now(UTC)
    begins = begins if begins.tzinfo else begins.replace(tzinfo=UTC)
    behaves = Traffic(
        traffic,
        Behaviour(baseline_errors / 100, baseline_latency),
        Behaviour(errors / 100, latency),
        from_weight,
    )
    moments = list(play(plan, behaves, begins))
    if output == "json":
        ends = _counted(plan, behaves, begins, runs) if runs > 1 else {}
        show_json({"moments": [_as_json(each, begins) for each in _turns(moments)], "ends": ends})
        return
    console = Console(highlight=False)
    console.print(_table(moments))
    if runs > 1:
        console.print(_ends(plan, behaves, begins, runs))


def _plan(file: Path) -> "Plan":
    from xds.rollout.plan import plan_of  # noqa: PLC0415

    parsed = parse(file.name, file.read_bytes())
    plan = plan_of(parsed.rule)
    if plan is not None:
        return plan
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in parsed.problems:
        console.print(f"{problem.document}:{problem.line}:{problem.column}: {problem.message}")
    if not parsed.problems:
        console.print(f"{file}: there is no rollout for {stem_of(file.name)} in it")
    raise typer.Exit(FAILED)


def _turns(moments: Sequence["Moment"]) -> Iterator["Moment"]:
    """Yield each moment at which the weight, the phase or the verdict changed."""
    shown: tuple[object, ...] | None = None
    for moment in moments:
        state = moment.state
        now = (state.phase, state.weight, state.verdict and state.verdict.result)
        if now != shown:
            shown = now
            yield moment


def _table(moments: Sequence["Moment"]) -> Table:
    table = Table("time", "state", "weight", "why", box=None, pad_edge=False)
    for moment in _turns(moments):
        state, passed = moment.state, moment.at - moments[0].at
        table.add_row(_clock(passed), state.phase.value, f"{state.weight:g} %", Text(state.why))
    return table


def _as_json(moment: "Moment", begins: datetime) -> dict[str, object]:
    state = moment.state
    return {
        "seconds": (moment.at - begins).total_seconds(),
        "phase": state.phase.value,
        "weight": state.weight,
        "why": state.why,
    }


def _counted(plan: "Plan", traffic: "Traffic", begins: datetime, runs: int) -> dict[str, int]:
    from xds.rollout.simulation import outcomes  # noqa: PLC0415

    return {phase.value: count for phase, count in sorted(outcomes(plan, traffic, begins, runs).items())}


def _ends(plan: "Plan", traffic: "Traffic", begins: datetime, runs: int) -> str:
    counted = _counted(plan, traffic, begins, runs)
    ends = ", ".join(f"{phase} {count}" for phase, count in counted.items())
    return f"\nOf {runs} runs with other chances each: {ends}"


def _clock(passed: timedelta) -> str:
    minutes, seconds = divmod(int(passed.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
