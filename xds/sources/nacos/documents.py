"""Documents in Nacos: which there are and what they contain.

Four things together lose no edit:

- The server pushes that a document changed. It is then read.
- After a read the server is told the MD5 of what was read, and answers whether that is still current. So a
  change that came during the read is read too, until both sides agree. This is Nacos's own protocol.
- A fuzzy watch, which Nacos 3 has, announces new documents.
- Every few seconds a listing tells which documents there are, with their MD5. It finds new and deleted
  documents on servers without fuzzy watch, and every change that no push told of.

A document is deleted when the listing lacks it, reading it finds nothing, and ``DeletionGuard`` accepts it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from xds.documents import DocumentId, is_encrypted
from xds.documents.text import Undecrypted
from xds.sources.base import DocumentChanged, Event
from xds.sources.deletion_guard import DeletionGuard
from xds.sources.health import SourceHealth
from xds.sources.nacos.connection import CONFIG_NOT_FOUND, AnswerError, Connection
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.decryption import decrypted
from xds.sources.nacos.document_names import DocumentNames
from xds.sources.nacos.errors import NacosError, RefusedError, UnreachableError
from xds.sources.nacos.listing import Doubt, Listing
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
from xds.sources.nacos.wire_models import (
    ConfigFuzzyWatchChangeNotifyRequest,
    ConfigFuzzyWatchRequest,
    ConfigFuzzyWatchSyncRequest,
    Reply,
)

_LISTENS_AT_ONCE = 1000
_MAX_DELETED = 1000
"""How many deleted documents are listened to, so that they are seen at once when they are created again."""

_MASS = 5
"""How many missing documents are a mass deletion, if they are at least half."""

_log = structlog.get_logger("xds.sources.nacos")


@dataclass(frozen=True, slots=True)
class _Document:
    content: bytes
    md5: str
    """As the server computes it, whatever its character set. '' for a deleted document."""
    is_beta: bool = False
    """Whether it is meant for our address alone."""
    formal_md5: str = ""
    """Of a beta: what the listing said of the document when it was read."""


_DELETED = _Document(b"", "")


class Documents:
    """Emits the documents of the group of rules, and every change of them.

    ``namespace`` is the one of the emitted ids.
    """

    def __init__(
        self,
        settings: NacosSettings,
        credentials: Credentials,
        listing: Listing,
        emit: Callable[[Event], None],
        health: SourceHealth,
        *,
        namespace: str = "",
    ) -> None:
        self._settings = settings
        self._listing = listing
        self._emit = emit
        self._health = health
        # That of the emitted ids.
        self.namespace = namespace
        self._connection = Connection(
            settings,
            credentials,
            "config",
            pushed=self._pushed,
            opened=self._opened,
            report=lambda reason: self._health.report(self._subject("connection"), reason, away=True),
        )
        # What was read last, by dataId. Written by ``_found`` and ``_missing``.
        self._known: dict[str, _Document] = {}
        # Deleted documents that are still listened to, the oldest first. Written by ``_missing``, ``_found``.
        self._deleted: dict[str, _Document] = {}
        # The MD5 of every document at the last listing. Written by ``_reconcile``.
        self._listed: dict[str, str] = {}
        # What the server was told to push changes of, on this connection.
        self._listened: set[str] = set()
        # Whether it was told of all documents, on this connection. Written by ``_opened``, ``_reconcile``.
        self._caught_up = False
        # Documents to read again, since the server did not answer, or answered with an error.
        self._unread: set[str] = set()
        self._unreadable: set[str] = set()
        # Documents that the last listing showed to have changed and that no push told of since.
        self._unannounced: set[str] = set()
        # Tells which names are documents. Has also those that somebody may take for one.
        self.names = DocumentNames(
            lambda name, why: self._health.report(self._subject(name), why),
            reads_encrypted=settings.decrypt is not None,
        )
        # Why our namespace may be the wrong one. Written by ``_is_misnamed``.
        self._doubt: Doubt | None = None
        self._deletions = DeletionGuard(settings.settle, mass=_MASS, mass_deletion=settings.mass_deletion)
        self._timer = PollTimer(settings.poll)
        self._reads = ReadQueue(self._read)
        # Set once every document that existed at the start has been emitted.
        self.complete = asyncio.Event()
        # How many updates no push told of, found by a listing.
        self.repaired = 0
        # When the last listing ended, as Unix time; None before the first.
        self.last_reconcile: float | None = None

    @property
    def connection(self) -> Connection:
        """The connection that documents are read by."""
        return self._connection

    @property
    def count(self) -> int:
        """How many documents there are."""
        return len(self._known)

    @property
    def unread_since(self) -> float | None:
        """Since when the longest unread change waits, in loop time; None when none does."""
        return self._reads.oldest

    async def run(self) -> None:
        """Keep up until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connection.run())
            with self._reads.within(tasks):
                async for _ in self._timer:
                    try:
                        await self._reconcile()
                    except NacosError as error:
                        self._timer.failed()
                        self._lost()
                        away = isinstance(error, UnreachableError)
                        self._health.report(self._subject("list"), str(error), away=away)
                    else:
                        self._health.report(self._subject("list"), None)

    def _subject(self, about: str) -> str:
        return f"documents {self.namespace}: {about}"

    def _pushed(self, request: Request) -> Response | None:
        match request:
            case ConfigChangeNotifyRequest():
                if request.group == self._settings.rules_group and request.dataId:
                    self._changed(request.dataId)
                return Reply(type="ConfigChangeNotifyResponse")
            case ConfigFuzzyWatchChangeNotifyRequest():
                self._changed(request.data_id)
                return Reply(type="ConfigFuzzyWatchChangeNotifyResponse")
            case ConfigFuzzyWatchSyncRequest():
                for change in request.contexts:
                    if change.data_id not in self._known:
                        self._changed(change.data_id)
                return Reply(type="ConfigFuzzyWatchSyncResponse")
            case _:
                return None

    def _changed(self, data_id: str) -> None:
        self._unannounced.discard(data_id)
        if self.names.is_ours(data_id):
            self._reads.mark(data_id)

    def _opened(self) -> None:
        _log.info("connected to Nacos", server=str(self._connection.server), reads="documents")
        self._listened.clear()
        self._caught_up = False
        self._lost()
        self._timer.hurry()

    def _lost(self) -> None:
        # A new connection tells of no change made before it: the listing finds these, which mends nothing.
        self._unannounced.clear()
        if self._known:
            self._deletions.lost()

    async def _reconcile(self) -> None:
        await self._connection.ready(self._settings.request_timeout)
        if not self._caught_up:
            await self._watch()
        listed = await self._listing.documents()
        self._listed = {data_id: listed[data_id] for data_id in self.names.ours_of(listed)}
        if await self._is_misnamed():
            return
        self._note_missing()
        self._note_unannounced()
        stale = {data_id for data_id, md5 in self._listed.items() if not self._is_current(data_id, md5)}
        self._unannounced = (stale & self._listened & self._known.keys()) - self._reads.keys
        await self._reads.read(stale | self._unlisted() | self._unread | self._unreadable)
        await self._listen((self._known.keys() | self._deleted.keys()) - self._listened)
        self._caught_up = True
        if self._unread:
            self._timer.failed()
        if self._known.keys() | self._unreadable >= self._listed.keys():
            self.complete.set()
        self.last_reconcile = time.time()

    async def _watch(self) -> None:
        """Have new documents announced, where the server can."""
        namespace = self._settings.config_tenant or "public"
        pattern = f"{namespace}>>{self._settings.rules_group}>>*"
        try:
            await self._connection.config(ConfigFuzzyWatchRequest(pattern=pattern))
        except UnreachableError:
            raise
        except NacosError:
            return  # Nacos 2 and r-nacos do not know it. The listing finds new documents.

    async def _is_misnamed(self) -> bool:
        """Whether our namespace does not exist; looked up only while nothing was ever found in it."""
        if self._listed or self._known:
            self._doubt = None
        elif not self.complete.is_set():
            self._doubt = await self._listing.namespace_doubt()
        self._health.report(self._subject("namespace"), self._doubt and self._doubt.text)
        return self._doubt is not None and self._doubt.is_certain

    def _note_missing(self) -> None:
        now = asyncio.get_running_loop().time()
        missing = len(self._known.keys() - self._listed.keys())
        self._deletions.seen(present=len(self._listed), missing=missing, now=now)
        self._health.report(self._subject("missing"), self._missing_text(missing, now))

    def _missing_text(self, missing: int, now: float) -> str | None:
        group = self._settings.rules_group
        if self._deletions.away:
            return (
                f"Nacos came back without any document in group {group}; none counts as deleted until it "
                "has one (nacos.mass_deletion)"
            )
        left = self._deletions.settles_in(now)
        if left is None or missing < _MASS:
            return None
        at = time.strftime("%H:%M:%S", time.localtime(time.time() + left + 0.5))
        return (
            f"{missing} of {len(self._known)} documents of group {group} are missing in Nacos; they count "
            f"as deleted at {at}, later if documents still arrive until then (nacos.mass_deletion)"
        )

    def _note_unannounced(self) -> None:
        """Count what the listing before this one found and no push has told of since."""
        repaired = self._unannounced & self._known.keys()
        self.repaired += len(repaired)
        for data_id in sorted(repaired):
            _log.warning("update found by the listing: Nacos announced none", document=data_id)

    def _is_current(self, data_id: str, md5: str) -> bool:
        known = self._known.get(data_id)
        if known is None:
            return False
        return known.md5 == md5 or (known.is_beta and known.formal_md5 == md5)

    def _unlisted(self) -> set[str]:
        """Return the documents that may be deleted."""
        if not self._deletions.accepts(asyncio.get_running_loop().time()):
            return set()
        return self._known.keys() - self._listed.keys()

    async def _read(self, data_id: str) -> None:
        subject = self._subject(data_id)
        try:
            document = await self._query(data_id)
            if document is None:
                self._missing(data_id)
            else:
                await self._found(data_id, document)
        except (UnreachableError, RefusedError) as error:
            self._unread.add(data_id)
            self._unannounced.discard(data_id)  # An outage kept the announcement away.
            away = isinstance(error, UnreachableError)
            self._health.report(self._subject("read"), str(error), away=away)
        except NacosError as error:
            self._unreadable.add(data_id)
            self._health.report(subject, f"{data_id} cannot be read: {error}")
        else:
            self._unread.discard(data_id)
            self._unreadable.discard(data_id)
            beta = (
                f"{data_id}: a beta for this server's address is in force; edits of the formal "
                "configuration are not seen until it ends"
            )
            wrong = beta if document and document.is_beta else None
            if document and isinstance(document.content, Undecrypted):
                self._unreadable.add(data_id)  # The next look may have more luck.
                wrong = f"{data_id}: {document.content.reason}"
            self._health.report_all(
                {subject: wrong} | ({} if self._unread else {self._subject("read"): None})
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
        content = response.content or ""
        decrypt = self._settings.decrypt if is_encrypted(data_id) else None
        key = response.encryptedDataKey or ""
        return _Document(
            await decrypted(decrypt, data_id, key, content) if decrypt else content.encode(),
            response.md5 or "",
            response.is_beta,
            self._listed.get(data_id, ""),
        )

    def _missing(self, data_id: str) -> None:
        if data_id in self._unlisted():
            del self._known[data_id]
            self._deleted[data_id] = _DELETED
            self._listened.discard(data_id)
            while len(self._deleted) > _MAX_DELETED:
                del self._deleted[next(iter(self._deleted))]
            self._emit(DocumentChanged(DocumentId(self.namespace, data_id), None))
        elif data_id in self._known:
            self._timer.hurry()

    async def _found(self, data_id: str, document: _Document) -> None:
        known = self._known.get(data_id)
        self._known[data_id] = document
        self._deleted.pop(data_id, None)
        if known is not None and known.md5 == document.md5:
            # The listing was older than what was known: it mended nothing.
            self._unannounced.discard(data_id)
        if known is None or known.content != document.content:
            self._emit(DocumentChanged(DocumentId(self.namespace, data_id), document.content))
        # Before that, ``_reconcile`` tells of all documents in one request.
        if self._caught_up and (known is None or known.md5 != document.md5):
            await self._listen((data_id,))

    async def _listen(self, data_ids: Iterable[str]) -> None:
        """Tell the server what we have; read what it says is not current."""
        settings = self._settings
        held = self._known | self._deleted
        waiting = sorted(data_id for data_id in data_ids if data_id in held)
        while waiting:
            batch, waiting = waiting[:_LISTENS_AT_ONCE], waiting[_LISTENS_AT_ONCE:]
            # Group and tenant: Nacos authorises the request by them, and without them by all groups.
            request = ConfigBatchListenRequest(
                group=settings.rules_group, dataId="", tenant=settings.config_tenant
            )
            request.configListenContexts = [
                ConfigListenContext(
                    group=settings.rules_group,
                    md5=held[data_id].md5,
                    dataId=data_id,
                    tenant=settings.config_tenant,
                )
                for data_id in batch
            ]
            response = await self._connection.config(request)
            self._listened.update(batch)
            for changed in response.changedConfigs:
                self._reads.mark(changed.dataId)
