"""The one small protocol between Grayplane and the places that rules and instances come from.

A source reports *facts*, never differences: the whole text of a document, all instances of a service.
Reporting the same fact twice is harmless, and of several facts about one thing only the last counts, so
a receiver may merge them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from xds.documents import DocumentId
from xds.rules.instance import Instance, ServiceId


@dataclass(frozen=True, slots=True)
class DocumentChanged:
    """The text of a document now; None when it does not exist any more.

    The name in ``document`` is the one its author knows: a dataId in Nacos, a file name in a directory.
    """

    document: DocumentId
    content: bytes | None


@dataclass(frozen=True, slots=True)
class InstancesChanged:
    """All instances of a service now; None when the service itself is gone.

    ``groups`` has the instances by naming group, where the source has such groups and the service is in any;
    ``instances`` are then those of the preferred group. Not ``complete``: that may not be all that there is,
    since the service is not watched any more, or was not read in every naming group yet.
    """

    service: ServiceId
    instances: tuple[Instance, ...] | None
    groups: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class InstancesUnreadable:
    """A service that is watched cannot be read, though the source can; why, its ``Trouble`` says."""

    service: ServiceId


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything that existed when the source started has been reported once.

    Of services, all that were to be watched by then (``watched_services``).
    """


@dataclass(frozen=True, slots=True)
class Trouble:
    """The source cannot be read, or only in part; what was last reported stays in force.

    ``reason`` is for the operator. None: it is well again. ``topics`` are what operators are warned of, each
    once for as long as it lasts. The reason may change more often: one outage makes calls fail in many ways.
    """

    reason: str | None
    topics: frozenset[str] = field(default=frozenset(), compare=False)


Event = DocumentChanged | InstancesChanged | InstancesUnreadable | Synced | Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """What a source knows of itself, for operators.

    ``servers``: those that are connected; empty for files. ``services``: how many there are, and
    ``watched`` how many of these are watched. ``last_reconcile``: Unix time of the last look
    at everything there is. ``oldest_unread``: age in seconds of the oldest announced change that was not
    read yet. ``repaired``: how many changes were found by a look and not by an announcement.
    """

    servers: tuple[str, ...] = ()
    documents: int = 0
    services: int = 0
    watched: int = 0
    last_reconcile: float | None = None
    oldest_unread: float = 0.0
    repaired: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as operators read it."""
        at = self.last_reconcile
        looked = None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        return {
            "servers": list(self.servers),
            "documents": self.documents,
            "services": self.services,
            "watched": self.watched,
            "last_reconcile": looked,
            "oldest_unread_seconds": round(self.oldest_unread, 3),
            "repaired": self.repaired,
        }


class Source(Protocol):
    """Where rules and instances come from."""

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Report everything that exists, then ``Synced``, then every change, until cancelled.

        ``emit`` never blocks and must be called in the loop that runs this coroutine. Lost connections
        are the source's to mend: it reports ``Trouble`` and goes on trying. It raises only for settings
        that can never work.
        """
        ...

    def status(self) -> SourceStatus:
        """Say what the source holds and when it last looked."""
        ...
