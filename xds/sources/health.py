"""All current problems of a source, reported as one ``Trouble``."""

from collections.abc import Callable, Mapping

from xds.sources.base import Event, Trouble

_MAX_REASONS = 10
"""How many reasons one ``Trouble`` names."""

_OUTAGE = "outage"
"""The topic of all reasons that come of the source being away."""


class SourceHealth:
    """The current problems of a source by subject. Every change emits all of them as one event."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        # What is wrong, by subject, and which of that comes of an outage. Written by ``report_all``.
        self._reasons: dict[str, str] = {}
        self._away: set[str] = set()
        # The text of the last event.
        self._emitted: str | None = None

    def report(self, subject: str, reason: str | None, *, away: bool = False) -> None:
        """Record what is wrong with a subject; None when it works again.

        ``away``: the source as a whole does not answer, which is one outage however many subjects show it.
        """
        self.report_all({subject: reason}, away=away)

    def report_all(self, reasons: Mapping[str, str | None], *, away: bool = False) -> None:
        """Record several subjects, and emit once."""
        for subject, reason in reasons.items():
            self._away.discard(subject)
            if reason is None:
                self._reasons.pop(subject, None)
            else:
                self._reasons[subject] = reason
                if away:
                    self._away.add(subject)
        text = self._text()
        if text != self._emitted:
            self._emitted = text
            topics = {_OUTAGE if each in self._away else reason for each, reason in self._reasons.items()}
            self._emit(Trouble(text, frozenset(topics)))

    def _text(self) -> str | None:
        # One cause often shows in several subjects. It is named once.
        reasons = list(dict.fromkeys(self._reasons[subject] for subject in sorted(self._reasons)))
        more = [f"and {len(reasons) - _MAX_REASONS} more"] if len(reasons) > _MAX_REASONS else []
        return "; ".join([*reasons[:_MAX_REASONS], *more]) or None
