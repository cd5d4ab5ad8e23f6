"""What clients acknowledged and rejected, kept in the snapshot for the next run."""

from collections.abc import Mapping

import msgspec

from xds.documents import DocumentId, Origin, revision_of
from xds.documents.identity import decode_origin
from xds.pipeline.named_line import named_line
from xds.rules.instance import ServiceId
from xds.snapshot import Snapshot, SnapshotWriter
from xds.status import Quarantine
from xds.views import CompiledService

_ACKNOWLEDGED = "acknowledged "
_QUARANTINE = "quarantine "
_PUSH = "push "
"""With these the names of the state in the snapshot begin; the service follows."""

_SEAT = "seat "
"""With this they begin for the cohort of a node; what identifies the node follows."""


class _Acknowledged(msgspec.Struct, frozen=True):
    """The last acknowledged version of a service: its origins, and the text of its rule document if any."""

    service: ServiceId
    origins: tuple[Origin, ...]
    text: bytes | None


class SavedPush(msgspec.Struct, frozen=True):
    """A staged push that was under way.

    ``origins`` are those of the new version, ``reached`` is the last cohort that has it. The others are
    served ``before``, which was made from ``text``.
    """

    service: ServiceId
    origins: tuple[Origin, ...]
    reached: int
    before: CompiledService
    text: bytes | None


class SavedVersions:
    """The acknowledged and the quarantined versions in the snapshot."""

    def __init__(self, snapshot: SnapshotWriter[CompiledService], texts: Mapping[DocumentId, bytes]) -> None:
        self._snapshot = snapshot
        # The latest text of each document. Written by the pipeline.
        self._texts = texts
        # What the run before kept, by service. Written by ``load``, as is all that follows.
        self._acknowledged: dict[ServiceId, _Acknowledged] = {}
        self._quarantines: dict[ServiceId, Quarantine] = {}
        self.pushes: dict[ServiceId, SavedPush] = {}
        """What was pushed in stages when the run before ended."""
        self.seats: dict[str, int] = {}
        """The cohorts of nodes then."""

    def load(self, state: Mapping[str, bytes | None]) -> None:
        """Read what the run before kept."""
        for name, content in state.items():
            if content is None:
                continue
            if name.startswith(_ACKNOWLEDGED):
                kept = msgspec.json.decode(content, type=_Acknowledged)
                self._acknowledged[kept.service] = kept
            elif name.startswith(_QUARANTINE):
                quarantine = msgspec.json.decode(content, type=Quarantine)
                self._quarantines[quarantine.service] = quarantine
            elif name.startswith(_PUSH):
                push = msgspec.msgpack.decode(content, type=SavedPush, dec_hook=decode_origin)
                self.pushes[push.service] = push
            elif name.startswith(_SEAT):
                self.seats[name.removeprefix(_SEAT)] = msgspec.json.decode(content, type=int)

    def keys(self) -> dict[ServiceId, tuple[Origin, ...]]:
        """Return the acknowledged version of each service."""
        return {service: kept.origins for service, kept in self._acknowledged.items()}

    def quarantines(self) -> list[Quarantine]:
        """Return what is quarantined."""
        return list(self._quarantines.values())

    def take(self, service: ServiceId) -> tuple[tuple[Origin, ...], bytes | None] | None:
        """Return the acknowledged version of a service and its text, once; None if there is none."""
        kept = self._acknowledged.pop(service, None)
        return (kept.origins, kept.text) if kept else None

    def acknowledged(self, service: ServiceId, origins: tuple[Origin, ...]) -> None:
        """Keep an acknowledged version, unless the text that it is made from is no longer at hand."""
        text = self._texts.get(origins[0].document) if origins else None
        if origins and (text is None or revision_of(text) != origins[0].revision):
            return
        content = msgspec.json.encode(_Acknowledged(service, origins, text))
        self._snapshot.keep(Snapshot(state={f"{_ACKNOWLEDGED}{service}": content}))

    def line_named(self, quarantine: Quarantine) -> int:
        """Return the line of the document that the reason of a quarantine is about; 0 if there is none."""
        document, revision = quarantine.origins[0]
        text = self._texts.get(document)
        return named_line(text, quarantine.reason) if text and revision_of(text) == revision else 0

    def quarantined(self, quarantine: Quarantine) -> None:
        """Keep a quarantine."""
        content = msgspec.json.encode(quarantine)
        self._snapshot.keep(Snapshot(state={f"{_QUARANTINE}{quarantine.service}": content}))

    async def pushed(self, pushes: Mapping[ServiceId, SavedPush | None]) -> None:
        """Keep staged pushes (None: it is over), on disk before the proxies have them."""
        if pushes:
            encode = msgspec.msgpack.encode
            self._snapshot.keep(
                Snapshot(
                    state={
                        f"{_PUSH}{service}": encode(push) if push else None
                        for service, push in pushes.items()
                    }
                )
            )
            await self._snapshot.flush()

    def seated(self, node: str, cohort: int | None) -> None:
        """Keep the cohort of a node; None: it has left."""
        content = None if cohort is None else msgspec.json.encode(cohort)
        self._snapshot.keep(Snapshot(state={f"{_SEAT}{node}": content}))

    def forget(self, service: ServiceId) -> None:
        """Forget a service that is gone."""
        self._snapshot.keep(
            Snapshot(state={f"{_ACKNOWLEDGED}{service}": None, f"{_QUARANTINE}{service}": None})
        )

    def lifted(self, service: ServiceId) -> None:
        """Forget a quarantine."""
        self._snapshot.keep(Snapshot(state={f"{_QUARANTINE}{service}": None}))
