"""What of Grayplane's log its user should see while the demo runs: what became of rules, and trouble."""

import json
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

_STYLES = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
_NOT_DETAILS = frozenset({"level", "event", "timestamp", "exception"})


@dataclass(frozen=True, slots=True)
class Notice:
    """One entry of the log, for a terminal."""

    level: str
    time: str
    text: str

    def rendered(self) -> Text:
        """Return it as one or more lines, coloured by how bad it is."""
        return Text(f"{self.time} {self.text}", style=_STYLES.get(self.level, ""))


def notice_of(line: bytes) -> Notice | None:
    """Read a line of Grayplane's JSON log; None when it is not for the user of the demo."""
    try:
        entry = json.loads(line)
        level, event = str(entry["level"]), str(entry["event"])
    except (ValueError, TypeError, KeyError):
        # Whatever a library or the interpreter wrote past the log is rare, and worth seeing.
        return (
            Notice("warning", _clock(None), text) if (text := line.decode(errors="replace").strip()) else None
        )
    if level not in _STYLES and "document" not in entry:
        return None
    about = _problem(entry) if "problem" in entry else _details(event, entry)
    return Notice(level, _clock(entry.get("timestamp")), about)


def _problem(entry: dict[str, object]) -> str:
    """Say what is wrong in a rule document, where, and what would be right."""
    field = f"{entry['field']}: " if entry.get("field") else ""
    hint = f" ({entry['hint']})" if entry.get("hint") else ""
    where = f"{entry['document']}:{entry['line']}:{entry['column']}"
    return f"{where}: {entry['level']}: {field}{entry['problem']}{hint}"


def _details(event: str, entry: dict[str, object]) -> str:
    details = (
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in entry.items()
        if key not in _NOT_DETAILS
    )
    more = ["its log has the whole story"] if "exception" in entry else []
    return "; ".join([event, *details, *more])


def _clock(timestamp: object) -> str:
    try:
        moment = datetime.fromisoformat(str(timestamp)).astimezone()
    except ValueError:
        moment = datetime.now().astimezone()
    return f"{moment:%H:%M:%S}"
