"""`grayplane diff`."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from xds.cli.documents import parse_beside, report
from xds.cli.errors import FAILED, MISUSED, fail, settings_errors
from xds.cli.output import OutputFlag, show_json
from xds.cli.serve import ConfigFlag
from xds.documents.problem import Severity
from xds.routing import Surroundings, routing_of
from xds.routing.comparison import Difference, Move, compare
from xds.rules.lists import ListDocument
from xds.rules.model import LanesDocument, RuleDocument
from xds.settings import Settings, load

DocumentArgument = Annotated[Path, typer.Argument(show_default=False)]


def diff(
    old: DocumentArgument,
    new: DocumentArgument,
    config: ConfigFlag = None,
    output: OutputFlag = "text",
) -> None:
    """Say what another version of a rule document changes, for whom, and for how many of them.

    Requests are made up for everybody whom one of the versions names, and both are asked about them. Exits 0
    whatever changes; 1 if one of the documents has an error.
    """
    with settings_errors():
        settings = load(config)
    before, now = _rule(old, settings), datetime.now(UTC)
    after, surroundings = _rule(new, settings), _surroundings(new, settings)
    words = list(_changed_words(_flat(before), _flat(after)))
    differences = compare(*(routing_of(one.service, one, now, surroundings) for one in (before, after)))
    if output == "json":
        moves = [_as_json(difference) for difference in differences]
        changed = [{"path": path, "before": old, "after": new} for path, old, new in words]
        show_json({"service": after.service, "changed": changed, "requests": moves})
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"The document of {after.service}", "bold"))
    for line in map(_word, words) if words else ["  says the same"]:
        console.print(Text(line))
    console.print(Text("\nWhere requests go now, and would go", "bold"))
    for difference in differences:
        console.print(_told(difference))


def _rule(file: Path, settings: Settings) -> RuleDocument:
    if not file.is_file():
        fail([f"there is no file {file}"], MISUSED)
    content = file.read_bytes()
    parsed = parse_beside({file: content}, settings)[file]
    if parsed.rule is None:
        for problem in parsed.problems:
            if problem.severity is Severity.ERROR:
                Console(highlight=False, soft_wrap=True, stderr=True).print(report(problem, content))
        fail([f"{file} has no rules that could be compared"], FAILED)
    return parsed.rule


def _surroundings(file: Path, settings: Settings) -> Surroundings:
    """Return the lists and lanes beside a file."""
    parsed = parse_beside({file: file.read_bytes()}, settings)
    lists = {
        path.stem: one.content.values for path, one in parsed.items() if isinstance(one.content, ListDocument)
    }
    lanes = [one.content.lanes for one in parsed.values() if isinstance(one.content, LanesDocument)]
    at = settings
    return Surroundings(_Lists(lists), lanes[0] if lanes else (), at.region_header, at.bucket_by)


class _Lists(dict[str, tuple[str, ...]]):
    """A list that is not there has no values: what it would change cannot be said."""

    def __missing__(self, name: str) -> tuple[str, ...]:
        return ()


def _flat(rule: RuleDocument) -> dict[str, str]:
    """Return the fields of a document by their paths; rules by their names, not their numbers."""
    flat: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else str(key))
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for index, item in enumerate(value):
                name = item.get("name") or item.get("subset") if isinstance(item, dict) else None
                walk(item, f"{path}[{name or index}]")
        else:
            flat[path] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    walk(rule.model_dump(mode="json", by_alias=True, exclude_unset=True), "")
    return flat


def _changed_words(
    old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the fields that differ, with their values; None where there is none."""
    for path in [*old, *(path for path in new if path not in old)]:
        if old.get(path) != new.get(path):
            yield path, old.get(path), new.get(path)


def _word(word: tuple[str, str | None, str | None]) -> str:
    path, old, new = word
    if new is None:
        return f"  - {path}: {old}"
    return f"  + {path}: {new}" if old is None else f"  ~ {path}: {old} → {new}"


def _as_json(difference: Difference) -> dict[str, object]:
    moves = [{"percent": move.share * 100, "from": move.old, "to": move.new} for move in difference.moves]
    return {
        "who": difference.who,
        "tried": difference.tried,
        "changes": difference.changes,
        "of": "users" if difference.users else "requests",
        "moves": moves,
    }


def _told(difference: Difference) -> Text:
    if not difference.tried:
        return Text(f"  {difference.who}: cannot be tried; compare what the document says of them", "yellow")
    if not difference.changes:
        where = " or ".join(dict.fromkeys(move.new for move in difference.moves))
        return Text(f"  {difference.who}: as before, {where}")
    moves = [_move(move, users=difference.users) for move in difference.moves]
    return Text(f"  {difference.who}: " + "; ".join(moves), "bold green")


def _move(move: Move, *, users: bool) -> str:
    whom = "users" if users else "requests"
    share = "all" if move.share > 1 - 1e-9 else f"{move.share * 100:.3g} % of the {whom}"
    if move.old == move.new:
        return f"{share} stay at {move.new}"
    return f"{share} go from {move.old} to {move.new}"
