"""All current problems of a source, reported as one ``Trouble``."""

from collections.abc import Callable, Mapping

from xds.sources.base import Event, Trouble

_MAX_REASONS = 10
"""How many reasons one ``Trouble`` names."""


class SourceHealth:
    """The current problems of a source by subject. Every change emits all of them as one event."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        # What is wrong, by subject. Written by `report_all`.
        self._reasons: dict[str, str] = {}
        # The text of the last event.
        self._emitted: str | None = None

    def report(self, subject: str, reason: str | None) -> None:
        """Record what is wrong with a subject; None when it works again."""
        self.report_all({subject: reason})

    def report_all(self, reasons: Mapping[str, str | None]) -> None:
        """Record several subjects, and emit once."""
        for subject, reason in reasons.items():
            if reason is None:
                self._reasons.pop(subject, None)
            else:
                self._reasons[subject] = reason
        text = self._text()
        if text != self._emitted:
            self._emitted = text
            self._emit(Trouble(text))

    def _text(self) -> str | None:
        # One cause often shows in several subjects. It is named once.
        reasons = list(dict.fromkeys(self._reasons[subject] for subject in sorted(self._reasons)))
        more = [f"and {len(reasons) - _MAX_REASONS} more"] if len(reasons) > _MAX_REASONS else []
        return "; ".join([*reasons[:_MAX_REASONS], *more]) or None
