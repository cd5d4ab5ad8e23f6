"""What sources have reported and the pipeline has not taken yet."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from xds.documents import DocumentId
from xds.rules.instance import Instance, ServiceId
from xds.sources.base import (
    DocumentChanged,
    Event,
    InstancesChanged,
    InstancesUnreadable,
    Synced,
    Trouble,
)


@dataclass(slots=True)
class Changes:
    """The latest state of everything that changed: of several reports about one thing, the last.

    ``documents`` and ``instances`` hold None for what is gone. ``groups`` are as in ``InstancesChanged``, for
    the services in ``instances``; ``incomplete`` are those of them that were not reported completely.
    ``unreadable`` are services that cannot be read.
    """

    documents: dict[DocumentId, bytes | None] = field(default_factory=dict)
    instances: dict[ServiceId, tuple[Instance, ...] | None] = field(default_factory=dict)
    groups: dict[ServiceId, Mapping[str, tuple[Instance, ...]]] = field(default_factory=dict)
    incomplete: set[ServiceId] = field(default_factory=set)
    unreadable: set[ServiceId] = field(default_factory=set)
    synced: bool = False
    seen: dict[DocumentId, float] = field(default_factory=dict)
    """When each document was reported first, in seconds since the epoch."""

    def absorb(self, later: "Changes") -> None:
        """Merge later changes into these."""
        self.documents |= later.documents
        self.instances |= later.instances
        self.groups |= later.groups
        self.incomplete = (self.incomplete - later.instances.keys()) | later.incomplete
        self.unreadable = (self.unreadable - later.instances.keys()) | later.unreadable
        self.synced |= later.synced
        self.seen = later.seen | self.seen


class ChangeBuffer:
    """Merges events until they are taken, so a burst of edits is one change and memory stays bounded."""

    def __init__(self) -> None:
        # Not taken yet. Written by ``put``, replaced by ``take``.
        self._changes = Changes()
        # Set while there is something to take.
        self._filled = asyncio.Event()
        self._created = time.monotonic()
        # What the source said last of its trouble. Written by ``put``.
        self.trouble = Trouble(None)

    @property
    def age(self) -> float:
        """Seconds since the buffer was created."""
        return time.monotonic() - self._created

    def put(self, event: Event) -> None:
        """Add an event. Never blocks."""
        match event:
            case DocumentChanged(document, content):
                self._changes.documents[document] = content
                self._changes.seen.setdefault(document, time.time())
            case InstancesChanged(service, instances, groups, complete):
                self._changes.instances[service] = instances
                self._changes.groups[service] = groups
                self._changes.unreadable.discard(service)
                if complete:
                    self._changes.incomplete.discard(service)
                else:
                    self._changes.incomplete.add(service)
            case InstancesUnreadable(service):
                self._changes.unreadable.add(service)
            case Synced():
                self._changes.synced = True
            case Trouble():
                self.trouble = event
        self._filled.set()

    def wake(self) -> None:
        """Have ``take`` return though nothing may have changed."""
        self._filled.set()

    async def take(self) -> Changes:
        """Wait for changes, and take all of them."""
        await self._filled.wait()
        self._filled.clear()
        changes, self._changes = self._changes, Changes()
        return changes
