"""The audit log: every change that was asked for over HTTP, granted or not."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from xds.http.access import Caller

_log = structlog.get_logger("audit")

_KEPT = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change that was asked for. ``outcome`` is ``done`` or why it was not."""

    at: datetime
    who: str
    address: str
    action: str
    target: str
    reason: str
    outcome: str


class Audit:
    """Logs every entry at level info and keeps the last ones for the API."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: deque[AuditEntry] = deque(maxlen=_KEPT)

    def add(self, caller: Caller, action: str, target: str, reason: str, outcome: str) -> None:
        """Add an entry."""
        entry = AuditEntry(self._now(), caller.name, caller.address, action, target, reason, outcome)
        self._entries.appendleft(entry)
        _log.info(
            "audit",
            who=entry.who,
            address=entry.address,
            action=action,
            target=target,
            reason=reason,
            outcome=outcome,
        )

    @property
    def entries(self) -> Sequence[AuditEntry]:
        """The last entries, newest first."""
        return tuple(self._entries)
