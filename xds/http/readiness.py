"""Whether this server answers proxies, and from what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from xds.sources.base import SourceStatus


class Standing(StrEnum):
    """What the proxies are served from."""

    NOTHING = "nothing yet"
    LAST_KNOWN_GOOD = "last known good"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Readiness:
    """How this server stands now.

    ``trouble`` is why the source cannot be read, None if it can. ``source`` is what it holds.
    """

    standing: Standing
    trouble: str | None = None
    source: SourceStatus = field(default_factory=SourceStatus)

    @property
    def ready(self) -> bool:
        """Whether proxies are answered."""
        return self.standing is not Standing.NOTHING


class ReadinessEndpoint:
    """Answers 200 when proxies are answered, 503 before, and says how the server stands.

    Trouble with the source does not make it unready: it serves what it last knew, and a replica without
    trouble would not serve anything else.
    """

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    async def __call__(self, _: Request) -> JSONResponse:
        """Answer a request."""
        now = self._readiness()
        return JSONResponse(
            {
                "ready": now.ready,
                "serving_from": now.standing,
                "trouble": now.trouble,
                "source": _source(now.source),
            },
            status_code=200 if now.ready else 503,
        )


def _source(status: SourceStatus) -> dict[str, Any]:
    at = status.last_reconcile
    looked = None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return {
        "servers": status.servers,
        "documents": status.documents,
        "services": status.services,
        "last_reconcile": looked,
        "oldest_unread_seconds": round(status.oldest_unread, 3),
        "repaired": status.repaired,
    }
