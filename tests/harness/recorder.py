"""What a source reported, and waiting for it to report something."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tests.harness import PATIENCE
from xds.documents import DocumentId
from xds.rules.instance import Instance, ServiceId
from xds.sources.base import DocumentChanged, Event, InstancesChanged, Source, Synced, Trouble

_LOOK = 0.05
"""Seconds after which to look again, though nothing was reported."""


class Recorder:
    """Runs a source and keeps what it reports."""

    def __init__(self, source: Source) -> None:
        self.events: list[Event] = []
        self.documents: dict[str, bytes] = {}
        self.instances: dict[str, tuple[Instance, ...]] = {}
        self.trouble: str | None = None
        self.synced = False
        self._news = asyncio.Event()
        self.running = asyncio.ensure_future(source.run(self._take))

    def _take(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case DocumentChanged(DocumentId("", document), None):
                self.documents.pop(document, None)
            case DocumentChanged(DocumentId("", document), bytes(content)):
                self.documents[document] = content
            case InstancesChanged(ServiceId("", service), None):
                self.instances.pop(service, None)
            case InstancesChanged(ServiceId("", service), tuple(instances)):
                self.instances[service] = instances
            case Trouble(reason):
                self.trouble = reason
            case Synced():
                self.synced = True
        self._news.set()

    async def until(self, holds: Callable[["Recorder"], object]) -> None:
        """Wait until something holds, of what was reported or of what a test sees beside it."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not holds(self):
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.wait({news, self.running}, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            if self.running.done():
                raise AssertionError("the source ended by itself") from self.running.exception()
            assert left > 0, f"did not come about; trouble: {self.trouble}; last events: {self.events[-10:]}"

    def history(self, document: str) -> list[bytes | None]:
        """Every content reported of a document."""
        return [
            e.content for e in self.events if isinstance(e, DocumentChanged) and e.document.name == document
        ]

    def endpoints(self, service: str) -> list[str]:
        """The instances of a service that may take traffic."""
        return sorted(f"{i.address}:{i.port}" for i in self.instances.get(service, ()) if i.serving)


@asynccontextmanager
async def recording(source: Source) -> AsyncIterator[Recorder]:
    """Run a source for the length of a block."""
    recorder = Recorder(source)
    try:
        yield recorder
    finally:
        recorder.running.cancel()
        with suppress(asyncio.CancelledError):
            await recorder.running
