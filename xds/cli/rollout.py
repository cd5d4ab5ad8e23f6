"""`grayplane rollout …`: rollouts, looked at and steered."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from xds.cli.api_client import DEFAULT_SERVER, ApiClient, ServerFlag, TokenFlag, name_in_path
from xds.cli.output import Cell, OutputFlag, PlainTable
from xds.cli.rollout_simulation import simulate
from xds.cli.status import NamespaceFlag, WatchFlag, shown

_STYLES = {"Promoted": "green", "RolledBack": "bold red", "Paused": "yellow", "Disabled": "yellow"}
_SAMPLES = 10

ServiceArgument = Annotated[str, typer.Argument(help="The service.", show_default=False)]
ReasonFlag = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept with the rollout.")]

app = typer.Typer(help="Watch and steer rollouts.", no_args_is_help=True)
app.command("simulate")(simulate)


@app.command("list")
def list_rollouts(
    *,
    watch: WatchFlag = False,
    output: OutputFlag = "text",
    server: ServerFlag = DEFAULT_SERVER,
    token: TokenFlag = None,
) -> None:
    """Show all rollouts."""
    api = ApiClient(server, token)
    shown(lambda: list(api.all("/rollouts")), _list_text, output, watch=watch)


@app.command("status")
def status(
    service: ServiceArgument,
    *,
    namespace: NamespaceFlag = "",
    watch: WatchFlag = False,
    output: OutputFlag = "text",
    server: ServerFlag = DEFAULT_SERVER,
    token: TokenFlag = None,
) -> None:
    """Show one rollout: its step, what the last intervals saw, what may be done, what was before.

    Exits with 1 if it was rolled back.
    """
    api = ApiClient(server, token)
    found = shown(
        lambda: api.get(_path(service), namespace=namespace or None), _rollout_text, output, watch=watch
    )
    if found["phase"] == "RolledBack":
        raise typer.Exit(1)


_WORDS = {
    "approve": "Approve the step that waits for it.",
    "promote": "Go to the last step now, whatever the analysis says; never outside the schedule.",
    "pause": "Stay at the weight that is in force. A failure still rolls back.",
    "resume": "Go on after a pause.",
    "abort": "Send everything back to the baseline now.",
    "retry": "Begin again after a rollback.",
}


def _command(word: str) -> Callable[..., None]:
    def act(
        service: ServiceArgument,
        *,
        namespace: NamespaceFlag = "",
        reason: ReasonFlag = "",
        output: OutputFlag = "text",
        server: ServerFlag = DEFAULT_SERVER,
        token: TokenFlag = None,
    ) -> None:
        api = ApiClient(server, token)
        query = f"?namespace={name_in_path(namespace)}" if namespace else ""
        api.post(f"{_path(service)}/{word}{query}", {"reason": reason})
        now = api.get(_path(service), namespace=namespace or None)
        shown(lambda: now, _rollout_text, output, watch=False)

    return act


for _word, _help in _WORDS.items():
    app.command(_word, help=_help)(_command(_word))


def _path(service: str) -> str:
    return f"/rollouts/{name_in_path(service)}"


def _list_text(found: Any) -> RenderableType:
    if not found:
        return Text("There is no rollout.")
    rows: list[list[Cell]] = [
        [
            _name(one),
            one["revision"],
            _phase(one["phase"]),
            f"{one['step']} of {one['of']}",
            f"{one['weight']:g} %",
            one["why"],
        ]
        for one in found
    ]
    return PlainTable(["service", "revision", "state", "step", "weight", "why"], rows)


def _rollout_text(found: Any) -> RenderableType:
    facts = Text.assemble(
        f"{_name(found)}, revision {found['revision']}: ",
        _phase(found["phase"]),
        f", step {found['step']} of {found['of']}, {found['weight']:g} % since {found['since']}\n",
        f"{_bar(found['weight'])}\n",
        f"{found['why']}\n",
    )
    parts: list[RenderableType] = [facts]
    if samples := found["samples"][-_SAMPLES:]:
        rows: list[list[Cell]] = [
            [
                sample["at"][11:19],
                f"{sample['weight']:g} %",
                str(sample["grayRequests"]),
                _percent(sample["graySuccess"]),
                _percent(sample["baselineSuccess"]),
                _milliseconds(sample["grayP99"]),
                _milliseconds(sample["baselineP99"]),
            ]
            for sample in samples
        ]
        titles = ["at", "weight", "requests", "success", "baseline", "p99", "baseline"]
        parts += [PlainTable(titles, rows), Text()]
    if found["actions"]:
        parts.append(Text(f"grayplane rollout {'|'.join(found['actions'])} {found['service']}"))
    if found["history"]:
        past: list[list[Cell]] = [
            [one["revision"], _phase(one["phase"]), f"{one['weight']:g} %", one["why"]]
            for one in found["history"]
        ]
        parts += [Text(), PlainTable(["before", "state", "weight", "why"], past)]
    return Group(*parts)


def _name(one: Any) -> str:
    return f"{one['namespace']}/{one['service']}" if one["namespace"] else str(one["service"])


def _phase(phase: str) -> Text:
    return Text(phase, style=_STYLES.get(phase, ""))


def _bar(weight: float, width: int = 40) -> str:
    filled = round(weight * width / 100)
    return "█" * filled + "░" * (width - filled)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2f} %"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
