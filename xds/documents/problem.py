"""What is wrong with a rule document, told to the person who can mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error keeps the document from being applied; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One defect of one document.

    ``line`` and ``column`` count from 1; both are 0 where the whole document is meant. ``path`` is the
    field as its author would say it: ``http[1].match[0].headers.x-release``. ``message`` says what is
    wrong, ``hint`` what would be right ('' when nothing sensible can be said).
    """

    document: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = self.document if not self.line else f"{self.document}:{self.line}:{self.column}"
        field = f" {self.path}:" if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}: {self.severity}:{field} {self.message}{hint}"
