"""New texts of documents: parsed, put in force if they can be, and told of once they are compiled."""

import asyncio
from collections.abc import Callable, Mapping, Set

from xds.documents import DocumentId
from xds.pipeline.compilation import Inputs
from xds.pipeline.service_reads import ServiceReads
from xds.pipeline.time_slice import TimeSlice
from xds.rules.instance import ServiceId
from xds.rules.parse import ParsedDocument
from xds.rules.store import DocumentStore, StoreChange
from xds.snapshot import Snapshot, SnapshotWriter
from xds.status import EditStage, Status
from xds.views import CompiledService

Edits = dict[DocumentId, tuple[ServiceId, ...]]
"""Documents that were put in force or deleted, and the services that changed with each."""


class DocumentEdits:
    """Applies texts to the documents in force.

    ``set_lanes`` is called with the namespaces whose lanes changed.
    """

    def __init__(
        self,
        inputs: Inputs,
        reads: ServiceReads,
        snapshot: SnapshotWriter[CompiledService],
        status: Status,
        set_lanes: Callable[[DocumentStore, Set[str]], None],
    ) -> None:
        self._inputs = inputs
        self._documents = inputs.documents
        self._reads = reads
        self._snapshot = snapshot
        self._status = status
        self._set_lanes = set_lanes
        self.texts: dict[DocumentId, bytes] = {}
        """The latest text of each document; to be read."""
        # Edits that are in force and not compiled yet. Written by ``tell``.
        self._untold: Edits = {}

    async def load(self, texts: Mapping[DocumentId, bytes]) -> None:
        """Put the last valid texts of the run before in force."""
        parsed = await self._parse(texts, were_in_force=True)
        turn = TimeSlice()
        for document in sorted(parsed):
            change = self._documents.apply(document, parsed[document])
            self._note(change)
            self._set_lanes(self._documents, change.lanes)
            await turn.pause()

    async def apply(self, documents: Mapping[DocumentId, bytes | None]) -> tuple[set[ServiceId], Edits]:
        """Apply new texts (None: deleted) to the store.

        Return the services whose rule changed, and for each document that was put in force those of its own.
        """
        texts = {name: text for name, text in documents.items() if text != self.texts.get(name)}
        parsed = await self._parse({name: text for name, text in texts.items() if text is not None})
        self._status.reached(EditStage.PARSED)
        changed: set[ServiceId] = set()
        edits: Edits = {}
        turn = TimeSlice()
        # Deletions first: a document that was renamed is not in its own way.
        deleted = {name for name, text in texts.items() if text is None}
        for document in (*sorted(deleted), *sorted(texts.keys() - deleted)):
            if texts[document] is None:
                self.texts.pop(document, None)
            change = self._documents.apply(document, parsed.get(document))
            self._note(change)
            if self._status.is_rejected(document):
                self._status.edited(document)
            else:
                edits[document] = tuple(sorted(change.services))
            self._keep_texts(change.documents)
            changed |= change.services
            self._set_lanes(self._documents, change.lanes)
            if change.lanes:
                changed |= {one for one in self._documents.services() if one.namespace in change.lanes}
            await turn.pause()
        return changed, edits

    async def tell(self, edits: Edits) -> None:
        """Say that edits are in force, once their services are compiled."""
        turn = TimeSlice()
        self._untold |= edits
        for document, services in tuple(self._untold.items()):
            if self._reads.waiting.isdisjoint(services):
                del self._untold[document]
                self._status.in_force(document, services)
                await turn.pause()

    def _note(self, change: StoreChange) -> None:
        standings = {document: self._documents.standing(document) for document in change.documents}
        self._status.documents_changed(change.problems, standings)
        for service in change.services:
            self._reads.require(service, self._documents.rule(service))

    def _keep_texts(self, documents: Set[DocumentId]) -> None:
        """Have texts kept; of a document that is rejected, the last valid one stays kept."""
        valid = {name: self.texts.get(name) for name in documents if not self._status.is_rejected(name)}
        self._snapshot.keep(Snapshot(documents=dict(valid)))

    async def _parse(
        self, documents: Mapping[DocumentId, bytes], *, were_in_force: bool = False
    ) -> dict[DocumentId, ParsedDocument]:
        self.texts.update(documents)
        if not documents:
            return {}
        parse = self._inputs.parse
        return await asyncio.to_thread(
            lambda: {name: parse(name, text, was_in_force=were_in_force) for name, text in documents.items()}
        )
