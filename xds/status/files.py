"""The status of every document in a file of its own, for those who keep their documents in files."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
import yaml

from xds.documents import DocumentId
from xds.status.status import Status

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Seconds between two looks at what changed."""


class StatusFiles:
    """Keeps a directory in step with the status: ``<directory>/[<namespace>/]<document>``, in YAML.

    Files are written in a thread, each whole or not at all. Those of an earlier run are removed at the start.
    A directory that cannot be written is a warning. ``status_of`` returns what is written of a document, by
    default its status as the read model has it.
    """

    def __init__(
        self,
        status: Status,
        directory: Path,
        status_of: Callable[[DocumentId], Mapping[str, Any] | None] | None = None,
    ) -> None:
        self._status = status
        self._status_of = status_of or self._as_dict
        self._directory = directory
        self._feed = status.feed()
        # Whether the last write failed, so that it is told once. Written by ``write``.
        self._failing = False

    async def run(self) -> None:
        """Write what changed, again and again, until cancelled."""
        await asyncio.to_thread(self._clear)
        while True:
            await asyncio.sleep(_PAUSE)
            await self.write()

    async def write(self) -> None:
        """Write what changed since the last call."""
        changed = self._status.changed_documents(self._feed)
        if not changed:
            return
        statuses = {document: self._status_of(document) for document in changed}
        try:
            await asyncio.to_thread(self._write, statuses)
        except OSError as error:
            self._feed.add(changed)
            if not self._failing:
                _log.warning(
                    "the status of documents cannot be written",
                    reason=str(error),
                    hint="see that the directory of the setting state_dir can be written and has space",
                )
            self._failing = True
        else:
            self._failing = False

    def _as_dict(self, document: DocumentId) -> Mapping[str, Any] | None:
        status = self._status.document(document)
        return status.as_dict() if status else None

    def _clear(self) -> None:
        for file in self._directory.rglob("*") if self._directory.is_dir() else ():
            if file.is_file():
                file.unlink(missing_ok=True)

    def _write(self, statuses: Mapping[DocumentId, Mapping[str, Any] | None]) -> None:
        for document, status in statuses.items():
            file = self._directory / document.namespace / document.name
            if status is None:
                file.unlink(missing_ok=True)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_name(f".{file.name}.new")
            text = yaml.safe_dump(dict(status), sort_keys=False, allow_unicode=True)
            beside.write_text(text, encoding="utf-8")
            beside.replace(file)
