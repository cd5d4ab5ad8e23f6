"""Reading and writing single configurations, as an author does in the console.

Writing is compare-and-set. Nacos compares by itself (``casMd5``); some servers that speak its protocol ignore
that, so the current version is also read immediately before.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePath

import aiohttp
from pydantic import AliasChoices, BaseModel, Field

from xds.sources.nacos.connection import CONFIG_NOT_FOUND, AnswerError, Connection, connected
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, RefusedError
from xds.sources.nacos.http import Answer, Http
from xds.sources.nacos.listing import Listing
from xds.sources.nacos.sdk import ConfigPublishRequest, ConfigQueryRequest, ConfigRemoveRequest
from xds.sources.nacos.settings import NacosSettings

_TYPES = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_HISTORY_LIST = ("/v3/admin/cs/history/list", "/v1/cs/history")
_HISTORY_ENTRY = ("/v3/admin/cs/history", "/v1/cs/history")
_NOT_FOUND = b'"code":20004'
"""In the answer 404 of Nacos 3 about something that is not there; a path that is not has no such code."""

_NO_MD5 = "0" * 32
"""The MD5 of no text: a compare-and-set with it takes effect only where there is no document."""

_OPERATIONS = {"I": "created", "U": "changed", "D": "deleted"}


class ConflictError(NacosError):
    """Somebody else wrote the document meanwhile."""

    def __init__(self, data_id: str) -> None:
        super().__init__(f"{data_id} was changed in Nacos meanwhile; look at what it is now, and try again")


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as Nacos holds it. ``md5`` is the server's."""

    text: str
    md5: str


class HistoryEntry(BaseModel):
    """One change of a document. ``operation``: what was done; Nacos keeps the text from *before* it.

    Of a creation, the text is the created one.
    """

    id: int
    user: str | None = Field(default=None, alias="srcUser")
    address: str | None = Field(default=None, alias="srcIp")
    raw_operation: str = Field(default="", alias="opType")
    at: str | int | None = Field(
        default=None, validation_alias=AliasChoices("modifyTime", "lastModifiedTime")
    )

    @property
    def operation(self) -> str:
        """``created``, ``changed`` or ``deleted``; as Nacos has it, if it is another."""
        raw = self.raw_operation.strip()
        return _OPERATIONS.get(raw, raw)


class _Page(BaseModel):
    items: list[HistoryEntry] | None = Field(alias="pageItems")


class _PageResult(BaseModel):
    data: _Page


class _Content(BaseModel):
    content: str


class _ContentResult(BaseModel):
    data: _Content


class ConfigClient:
    """Reads and writes configurations of a namespace over a connection of the config module."""

    def __init__(self, settings: NacosSettings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection

    async def read(self, group: str, data_id: str) -> Stored | None:
        """Return the document now; None if there is none. Raise ``NacosError``."""
        request = ConfigQueryRequest(group=group, dataId=data_id, tenant=self._settings.config_tenant)
        try:
            response = await self._connection.config(request, group)
        except AnswerError as error:
            if error.code == CONFIG_NOT_FOUND:
                return None
            raise
        return Stored(response.content or "", response.md5 or "")

    async def publish(self, group: str, data_id: str, text: str, replaces: Stored | None) -> Stored:
        """Write a document if it still is ``replaces``; None: if there is none.

        Raise ``ConflictError`` if it is not, and ``NacosError``.
        """
        current = await self.read(group, data_id)
        if (current and current.md5) != (replaces and replaces.md5):
            raise ConflictError(data_id)
        request = ConfigPublishRequest(
            group=group,
            dataId=data_id,
            tenant=self._settings.config_tenant,
            content=text,
            casMd5=replaces.md5 if replaces else _NO_MD5,
        )
        # What the console shows it as.
        request.additionMap["type"] = _TYPES.get(PurePath(data_id).suffix, "text")
        try:
            await self._connection.config(request, group)
        except AnswerError as error:
            if (await self.read(group, data_id) or current) != current:
                raise ConflictError(data_id) from error
            raise
        return Stored(text, hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())

    async def remove(self, group: str, data_id: str) -> None:
        """Delete a document, if there is one. Raise ``NacosError``."""
        request = ConfigRemoveRequest(group=group, dataId=data_id, tenant=self._settings.config_tenant)
        await self._connection.config(request, group)


class HistoryClient:
    """Reads the history that Nacos keeps of every document, over HTTP."""

    def __init__(self, settings: NacosSettings, http: Http, credentials: Credentials) -> None:
        self._settings = settings
        self._http = http
        self._credentials = credentials

    async def entries(self, data_id: str, limit: int = 100) -> list[HistoryEntry]:
        """Return the last changes of a rule document, the newest first. Raise ``NacosError``."""
        page = {"pageNo": "1", "pageSize": str(limit)}
        answer, is_v3 = await self._get(_HISTORY_LIST, data_id, page | {"search": "accurate"})
        found = (await answer.parsed(_PageResult)).data if is_v3 else await answer.parsed(_Page)
        return sorted(found.items or (), key=lambda entry: -entry.id)

    async def text(self, data_id: str, entry: int) -> str:
        """Return the text that an entry keeps. Raise ``NacosError``."""
        answer, is_v3 = await self._get(_HISTORY_ENTRY, data_id, {"nid": str(entry)})
        if answer.status == 404:
            raise NacosError(f"{data_id} has no change {entry} in its history: `history` lists those it has")
        content = (await answer.parsed(_ContentResult)).data if is_v3 else await answer.parsed(_Content)
        return content.content

    async def _get(
        self, paths: tuple[str, str], data_id: str, more: Mapping[str, str]
    ) -> tuple[Answer, bool]:
        group, tenant = self._settings.rules_group, self._settings.config_tenant
        for path in paths:
            is_v3 = path is paths[0]
            about = (
                {"dataId": data_id, "groupName": group, "namespaceId": tenant}
                if is_v3
                else {"dataId": data_id, "group": group, "tenant": tenant}
            )
            headers = await self._credentials.for_config()
            answer = await self._http.request("GET", path, query={**about, **more}, headers=headers)
            if answer.status in {401, 403}:
                raise RefusedError(
                    f"{answer.server} refuses {self._settings.user!r} the history of {data_id} "
                    f"(HTTP {answer.status}: {answer.excerpt})"
                )
            if answer.status not in {404, 410, 501} or _NOT_FOUND in answer.body:
                return answer, is_v3
        raise NacosError(
            f"{answer.server} has no history of documents (r-nacos shows it in its console alone)"
        )


@dataclass(frozen=True, slots=True)
class NacosAuthor:
    """What an author does with the documents of a group."""

    settings: NacosSettings
    configs: ConfigClient
    history: HistoryClient
    listing: Listing


@asynccontextmanager
async def nacos_author(settings: NacosSettings) -> AsyncIterator[NacosAuthor]:
    """Connect for a while. Raise ``NacosError``: after the time of a request when no server answers."""
    async with aiohttp.ClientSession() as session, connected(settings, "config") as connection:
        await connection.ready(settings.request_timeout)
        http = Http(settings, session)
        credentials = Credentials(settings, http)
        yield NacosAuthor(
            settings,
            ConfigClient(settings, connection),
            HistoryClient(settings, http, credentials),
            Listing(settings, http, credentials),
        )


async def publish_missing(settings: NacosSettings, documents: Mapping[str, str]) -> tuple[str, ...]:
    """Publish the documents (content by dataId) that the group of rules does not have, and name them.

    Raise ``NacosError``.
    """
    published = []
    async with connected(settings, "config") as connection:
        await connection.ready(settings.request_timeout)
        client = ConfigClient(settings, connection)
        for data_id in sorted(documents):
            if await client.read(settings.rules_group, data_id) is None:
                await client.publish(settings.rules_group, data_id, documents[data_id], None)
                published.append(data_id)
    return tuple(published)
