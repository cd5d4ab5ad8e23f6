"""Several things that are wrong at once, told as the one ``Trouble`` of a source."""

from collections.abc import Callable

from xds.sources.base import Event, Trouble


class Troubles:
    """What is wrong now, by what it is about; every change is emitted as the whole."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._reasons: dict[str, str] = {}
        self._told: str | None = None

    def report(self, about: str, reason: str | None) -> None:
        """Something is wrong with ``about``, or well again (None)."""
        self.report_all({about: reason})

    def report_all(self, reasons: dict[str, str | None]) -> None:
        """The same for many, emitted once."""
        for about, reason in reasons.items():
            if reason is None:
                self._reasons.pop(about, None)
            else:
                self._reasons[about] = reason
        # One cause often shows in several places: it is told once.
        told = "; ".join(dict.fromkeys(self._reasons[about] for about in sorted(self._reasons))) or None
        if told != self._told:
            self._told = told
            self._emit(Trouble(told))
