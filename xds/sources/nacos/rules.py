"""Rule documents in Nacos: what they contain, kept up with.

Three things together make sure of it:

- The server pushes that a document changed; it is then read.
- After a read the server is told the MD5 of what was read, and answers whether that is still current. So
  a change that landed during the read is read too, until both sides agree (this is Nacos's own protocol).
- Every few seconds a listing tells which documents there are, with their MD5. It finds new documents and
  deleted ones, and would find a change that no push told of.

A document is gone when the listing lacks it, reading it finds nothing, and the server has been there long
enough to be believed.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from xds.documents import DocumentId
from xds.sources.base import DocumentChanged, Event
from xds.sources.deletion_guard import DeletionGuard
from xds.sources.health import SourceHealth
from xds.sources.nacos.connection import CONFIG_NOT_FOUND, AnswerError, Connection
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, RefusedError, UnreachableError
from xds.sources.nacos.listing import Listing
from xds.sources.nacos.poll_timer import PollTimer
from xds.sources.nacos.read_queue import ReadQueue
from xds.sources.nacos.sdk import (
    ConfigBatchListenRequest,
    ConfigChangeNotifyRequest,
    ConfigListenContext,
    ConfigQueryRequest,
    Request,
    Response,
)
from xds.sources.nacos.settings import NacosSettings

_LISTENS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class _Document:
    content: bytes
    md5: str
    """As the server computes it, whatever its character set."""


class _ConfigChangeNotifyResponse(Response):  # type: ignore[misc]  # the SDK is untyped, and has none
    def get_response_type(self) -> str:
        return "ConfigChangeNotifyResponse"


class Rules:
    """Emits the documents of the group of rules and every change of them."""

    def __init__(
        self,
        settings: NacosSettings,
        credentials: Credentials,
        listing: Listing,
        emit: Callable[[Event], None],
        health: SourceHealth,
    ) -> None:
        self._settings = settings
        self._listing = listing
        self._emit = emit
        self._health = health
        self._connection = Connection(
            settings,
            credentials,
            "config",
            pushed=self._pushed,
            opened=self._opened,
            report=lambda reason: self._health.report("connection for rules", reason),
        )
        self._known: dict[str, _Document] = {}
        self._listed: set[str] = set()
        self._listened: set[str] = set()
        self._unread: set[str] = set()
        self._unreadable: set[str] = set()
        self._deletions = DeletionGuard(settings.settle)
        self._timer = PollTimer(settings.poll)
        self._reads: ReadQueue
        self.complete = asyncio.Event()
        """Set once every document that existed at the start has been emitted."""

    async def run(self) -> None:
        """Keep up until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connection.run())
            with ReadQueue(self._read, tasks) as self._reads:
                async for _ in self._timer:
                    try:
                        await self._reconcile()
                    except NacosError as error:
                        self._away()
                        self._health.report("list of rules", str(error))
                    else:
                        self._health.report("list of rules", None)

    def _pushed(self, request: Request) -> Response | None:
        if not isinstance(request, ConfigChangeNotifyRequest):
            return None
        if request.group == self._settings.rules_group and request.dataId:
            self._reads.mark(request.dataId)
        return _ConfigChangeNotifyResponse()

    def _opened(self) -> None:
        self._listened.clear()
        self._away()
        self._timer.hurry()

    def _away(self) -> None:
        if self._known:
            self._deletions.lost()

    async def _reconcile(self) -> None:
        await self._connection.ready(self._settings.request_timeout)
        listed = await self._listing.documents()
        self._listed = set(listed)
        now = asyncio.get_running_loop().time()
        self._deletions.seen(empty=not listed and bool(self._known), now=now)
        self._health.report("absence of rules", self._lack())
        stale = {data_id for data_id, md5 in listed.items() if not self._is_current(data_id, md5)}
        await self._reads.read(stale | self._unlisted() | self._unread | self._unreadable)
        await self._listen(self._known.keys() - self._listened)
        if self._known.keys() | self._unreadable >= listed.keys():
            self.complete.set()

    def _lack(self) -> str | None:
        if not self._deletions.away:
            return None
        group = self._settings.rules_group
        return (
            f"Nacos came back without any document in group {group}; none counts as deleted until it has one"
        )

    def _is_current(self, data_id: str, md5: str) -> bool:
        known = self._known.get(data_id)
        return known is not None and known.md5 == md5

    def _unlisted(self) -> set[str]:
        """The documents that may be gone."""
        if not self._deletions.accepts(asyncio.get_running_loop().time()):
            return set()
        return self._known.keys() - self._listed

    async def _read(self, data_id: str) -> None:
        try:
            document = await self._query(data_id)
            if document is None:
                self._missing(data_id)
            else:
                await self._found(data_id, document)
        except (UnreachableError, RefusedError) as error:
            self._unread.add(data_id)
            self._health.report("reading rules", str(error))
        except NacosError as error:
            self._unreadable.add(data_id)
            self._health.report(f"rule {data_id}", f"{data_id} cannot be read: {error}")
        else:
            self._unread.discard(data_id)
            self._unreadable.discard(data_id)
            self._health.report_all(
                {f"rule {data_id}": None} | ({} if self._unread else {"reading rules": None})
            )

    async def _query(self, data_id: str) -> _Document | None:
        settings = self._settings
        request = ConfigQueryRequest(
            group=settings.rules_group, dataId=data_id, tenant=settings.config_tenant
        )
        request.put_header("notify", "false")
        try:
            response = await self._connection.config(request)
        except AnswerError as error:
            if error.code == CONFIG_NOT_FOUND:
                return None
            raise
        return _Document((response.content or "").encode(), response.md5 or "")

    def _missing(self, data_id: str) -> None:
        if data_id in self._unlisted():
            del self._known[data_id]
            self._listened.discard(data_id)
            self._emit(DocumentChanged(DocumentId("", data_id), None))
        elif data_id in self._known:
            self._timer.hurry()

    async def _found(self, data_id: str, document: _Document) -> None:
        known = self._known.get(data_id)
        self._known[data_id] = document
        if known is None or known.content != document.content:
            self._emit(DocumentChanged(DocumentId("", data_id), document.content))
        if data_id in self._listened and known is not None and known.md5 != document.md5:
            await self._listen((data_id,))

    async def _listen(self, data_ids: Iterable[str]) -> None:
        """Tell the server what we have; read what it says is not current."""
        waiting = sorted(data_ids)
        while waiting:
            batch, waiting = waiting[:_LISTENS_AT_ONCE], waiting[_LISTENS_AT_ONCE:]
            request = ConfigBatchListenRequest(group="", dataId="", tenant="")
            request.configListenContexts = [
                ConfigListenContext(
                    group=self._settings.rules_group,
                    md5=self._known[data_id].md5,
                    dataId=data_id,
                    tenant=self._settings.config_tenant,
                )
                for data_id in batch
                if data_id in self._known
            ]
            response = await self._connection.config(request)
            self._listened.update(batch)
            for changed in response.changedConfigs:
                self._reads.mark(changed.dataId)
