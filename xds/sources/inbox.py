"""What sources reported and nobody has looked at yet."""

import asyncio
import time
from dataclasses import dataclass, field

from xds.rules.instance import Instance
from xds.sources.base import DocumentChanged, Event, InstancesChanged, Synced, Trouble


@dataclass(slots=True)
class Batch:
    """Facts about different things; of several facts about one thing, the last."""

    documents: dict[str, bytes | None] = field(default_factory=dict)
    instances: dict[str, tuple[Instance, ...] | None] = field(default_factory=dict)
    synced: bool = False

    def absorb(self, later: "Batch") -> None:
        """Merge a later batch into this one."""
        self.documents |= later.documents
        self.instances |= later.instances
        self.synced |= later.synced


class Inbox:
    """Merges events, so that a burst of edits is one change and nothing piles up.

    It is made when the source is asked, which may be before anybody is there to look.
    """

    def __init__(self) -> None:
        self._batch = Batch()
        self._filled = asyncio.Event()
        self._since = time.monotonic()
        self.trouble: str | None = None

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._since

    def put(self, event: Event) -> None:
        """Take an event; never blocks. Sources emit into this."""
        match event:
            case DocumentChanged(document, content):
                self._batch.documents[document] = content
            case InstancesChanged(service, instances):
                self._batch.instances[service] = instances
            case Synced():
                self._batch.synced = True
            case Trouble(reason):
                self.trouble = reason
        self._filled.set()

    async def take(self) -> Batch:
        """Wait until there is something, and take all there is."""
        await self._filled.wait()
        self._filled.clear()
        batch, self._batch = self._batch, Batch()
        return batch
