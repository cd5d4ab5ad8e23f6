"""Whether this server lives and answers proxies, and from what."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from starlette.responses import JSONResponse

from xds.sources.base import SourceStatus


class ServedFrom(StrEnum):
    """What the proxies are served from."""

    NOTHING = "nothing yet"
    LAST_KNOWN_GOOD = "last known good"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Readiness:
    """How this server stands now.

    ``trouble`` is why the source cannot be read, None if it can. ``source`` is what it holds.
    """

    served_from: ServedFrom
    trouble: str | None = None
    source: SourceStatus = field(default_factory=SourceStatus)

    @property
    def ready(self) -> bool:
        """Whether proxies are answered."""
        return self.served_from is not ServedFrom.NOTHING


def readiness_answer(now: Readiness) -> JSONResponse:
    """Return 200 when proxies are answered, 503 before, and how the server stands.

    Trouble with the source does not make it unready: it serves what it last knew, and a replica without
    trouble would not serve anything else.
    """
    return JSONResponse({"ready": now.ready, **_described(now)}, status_code=200 if now.ready else 503)


def liveness_answer(now: Readiness) -> JSONResponse:
    """Return 200 as long as the process answers at all, and how the server stands, for people."""
    return JSONResponse({"alive": True, **_described(now)})


def _described(now: Readiness) -> dict[str, Any]:
    return {"serving_from": now.served_from, "trouble": now.trouble, "source": now.source.as_dict()}
