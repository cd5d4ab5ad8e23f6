"""A defect of a document before it has a position: what the checks find, by field path."""

from typing import NamedTuple

from pydantic_core import PydanticCustomError

from xds.documents.problem import Severity

Path = tuple[str | int, ...]
"""The keys and indexes that lead from the document to a field."""

_LONGEST = 60


class Defect(NamedTuple):
    """What is wrong at ``path``, and what would be right; ``at_key`` points at the key, not its value."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    severity: Severity = Severity.ERROR


def invalid(message: str, hint: str = "", *inside: str | int) -> PydanticCustomError:
    """Make the error that a validator of a model raises; ``xds.documents.schema_errors`` reads it back.

    ``inside`` leads from the validated value to what is wrong in it.
    """
    return PydanticCustomError("rule", "{message}", {"message": message, "hint": hint, "inside": inside})


def printable(text: str) -> str:
    """Make text safe to show on one line of a terminal: shortened, control characters escaped."""
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def quoted(text: str) -> str:
    """Return text in the double quotes that its author would write."""
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def render(path: Path) -> str:
    """Write a path as its author would say it: ``http[1].match[0].headers.x-release``."""
    said = ""
    for step in path:
        if isinstance(step, int):
            said += f"[{step}]"
        elif step.replace("-", "").replace("_", "").isalnum():
            said += f".{printable(step)}" if said else printable(step)
        else:
            said += f"[{quoted(step)}]"
    return said
