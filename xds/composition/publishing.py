"""Publishes documents from the API to where they come from: Nacos, or the directory of rules."""

import asyncio
from pathlib import Path

from xds.documents import DocumentId, kind_of, revision_of
from xds.http.api.backend import Conflict, Unavailable
from xds.settings import Settings

_CHANGED = "somebody else changed {} meanwhile: look at what it is now, and try again"
_NO_NAMESPACE = "there is no namespace {!r} here"


class Publisher:
    """Publishes a text that replaces a revision; the source then reports it like any other edit."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()

    async def publish(self, document: DocumentId, text: str, revision: str | None) -> str:
        """Publish; return the new revision.

        Raise ``Conflict`` if the document has another revision than the one given, or a name that is no
        document's; ``Unavailable`` if the source cannot be written.
        """
        if kind_of(document.name) is None or document.name != Path(document.name).name:
            raise Conflict(f"{document.name} is no document: such as reviews.yaml, lanes.yaml, vips.list")
        async with self._lock:
            if self._settings.source == "files":
                await asyncio.to_thread(self._to_file, document, text, revision)
            else:
                await self._to_nacos(document, text, revision)
        return revision_of(text.encode())

    def _to_file(self, document: DocumentId, text: str, revision: str | None) -> None:
        if document.namespace:
            raise Conflict(_NO_NAMESPACE.format(document.namespace))
        path = self._settings.files.rules / document.name
        beside = path.with_name(f".{path.name}.new")
        try:
            if (revision_of(path.read_bytes()) if path.exists() else None) != revision:
                raise Conflict(_CHANGED.format(document))
            beside.write_text(text, encoding="utf-8", newline="")
            beside.replace(path)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from error

    async def _to_nacos(self, document: DocumentId, text: str, revision: str | None) -> None:
        from xds.sources.nacos import ConflictError, NacosError, nacos_author  # noqa: PLC0415  # slow to load

        environments = self._settings.nacos.client_settings()
        several = len(environments) > 1
        settings = {each.namespace if several else "": each for each in environments}.get(document.namespace)
        if settings is None:
            raise Conflict(_NO_NAMESPACE.format(document.namespace))
        try:
            async with nacos_author(settings) as author:
                stored = await author.configs.read(settings.rules_group, document.name)
                if (revision_of(stored.text.encode()) if stored else None) != revision:
                    raise Conflict(_CHANGED.format(document))
                await author.configs.publish(settings.rules_group, document.name, text, stored)
        except ConflictError as error:
            raise Conflict(str(error)) from error
        except NacosError as error:
            raise Unavailable(f"Nacos: {error}") from error
