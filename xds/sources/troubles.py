"""Several things that are wrong at once, told as the one ``Trouble`` of a source."""

from collections.abc import Callable, Mapping

from xds.sources.base import Event, Trouble

_MOST = 10
"""How many reasons one ``Trouble`` names."""


class Troubles:
    """What is wrong now, by what it is about; every change is emitted as the whole."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._reasons: dict[str, str] = {}
        self._told: str | None = None

    def report(self, about: str, reason: str | None) -> None:
        """Something is wrong with ``about``, or well again (None)."""
        self.report_all({about: reason})

    def report_all(self, reasons: Mapping[str, str | None]) -> None:
        """The same for many, emitted once."""
        for about, reason in reasons.items():
            if reason is None:
                self._reasons.pop(about, None)
            else:
                self._reasons[about] = reason
        told = self._text()
        if told != self._told:
            self._told = told
            self._emit(Trouble(told))

    def _text(self) -> str | None:
        # One cause often shows in several places: it is told once.
        reasons = list(dict.fromkeys(self._reasons[about] for about in sorted(self._reasons)))
        more = [f"and {len(reasons) - _MOST} more"] if len(reasons) > _MOST else []
        return "; ".join([*reasons[:_MOST], *more]) or None
