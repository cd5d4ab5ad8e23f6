"""Tells authors in Nacos what became of their documents: a status document for each, in a group of its own.

Several replicas follow one Nacos, and one of them writes. Each registers itself in naming for as long as it
is connected, and the one whose name comes first is the writer: this leaves no trace in the history that Nacos
keeps of configurations.
"""

import asyncio
import dataclasses
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import aiohttp
import structlog
import yaml

from xds.documents import DocumentId, kind_of
from xds.rules.instance import Instance
from xds.sources.nacos.config_client import ConfigClient, ConflictError, Stored
from xds.sources.nacos.connection import Connection, connected
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, UnreachableError
from xds.sources.nacos.http import Http
from xds.sources.nacos.listing import Listing
from xds.sources.nacos.registration import registered
from xds.sources.nacos.sdk import NetUtils, ServiceQueryRequest
from xds.sources.nacos.settings import NacosSettings

_SERVICE = "grayplane-status"
"""What replicas register as, in the status group."""

_INTERVAL = 1.0
"""Seconds between two writes of one document, at least."""

_ELECTION = 3.0
"""Seconds between two looks at which replica writes."""

_CONCURRENT_WRITES = 8
_BEGINNING = "# Written by Grayplane: what became of the document of this name in"
_HEADER = f"{_BEGINNING} {{group}}. Edits are lost.\n"

_log = structlog.get_logger("xds.sources.nacos.status")


class StatusDocuments:
    """Writes the status documents of a namespace.

    ``changed`` returns the documents whose status changed since it was last called, at first all.
    ``status_of`` returns the status of a document, None if there is no such document any more. ``ignored``
    returns the names that somebody may take for documents, and why they are not read.
    """

    def __init__(
        self,
        settings: NacosSettings,
        group: str,
        changed: Callable[[], Iterable[DocumentId]],
        status_of: Callable[[DocumentId], Mapping[str, Any] | None],
        *,
        ignored: Callable[[], Mapping[str, str]] = dict,
        namespace: str = "",
    ) -> None:
        self._settings = dataclasses.replace(settings, naming_group=group)
        self._rules_group = settings.rules_group
        self._group = group
        self._changed = changed
        self._status_of = status_of
        self._ignored = ignored
        self._namespace = namespace
        self._replica = secrets.token_hex(8)
        # Names of documents whose status is to be written. Written by ``_note``, ``_write``.
        self._pending: set[str] = set()
        # What `ignored` said when it was last asked. Written by `_note`.
        self._noted: Mapping[str, str] = {}
        # What was last read or written, by name; None: there is no status document.
        self._written: dict[str, Stored | None] = {}
        # Whether this replica writes, and what went wrong last. Written by ``run``.
        self.is_writer = False
        self.trouble: str | None = None
        # Whether the log has a warning of the present problem. Written by ``_tell``.
        self._warned = False

    async def run(self) -> None:
        """Write until cancelled. Call it once the source is synced: what is not known then is removed."""
        async with AsyncExitStack() as stack:
            http_session = await stack.enter_async_context(aiohttp.ClientSession())
            config = await stack.enter_async_context(connected(self._settings, "config"))
            naming = await stack.enter_async_context(connected(self._settings, "naming"))
            unreachable = partial(self._tell, is_outage=True)
            here = Instance(
                NetUtils.get_local_ip(),
                random.randrange(1, 65536),  # noqa: S311  # tells replicas of one machine apart
                weight=0,
                metadata={"replica": self._replica},
            )
            await stack.enter_async_context(
                registered(self._settings, _SERVICE, here, self._tell, unreachable)
            )
            http = Http(self._settings, http_session)
            listing = Listing(self._settings, http, Credentials(self._settings, http))
            client = ConfigClient(self._settings, config)
            elected_at = float("-inf")
            while True:
                self._note()
                now = asyncio.get_running_loop().time()
                try:
                    await config.ready(self._settings.request_timeout)
                    await naming.ready(self._settings.request_timeout)
                    if now - elected_at >= _ELECTION and await self._elect(naming, listing):
                        elected_at = now
                    if self.is_writer:
                        await self._write_pending(client)
                except UnreachableError as error:
                    self._tell(str(error), is_outage=True)
                except NacosError as error:
                    self._tell(str(error))
                await asyncio.sleep(_INTERVAL)

    def _note(self) -> None:
        self._pending |= {each.name for each in self._changed() if each.namespace == self._namespace}
        before, self._noted = self._noted, self._ignored()
        self._pending |= before.keys() ^ self._noted.keys()

    async def _elect(self, naming: Connection, listing: Listing) -> bool:
        """Find out whether this replica writes; return whether it takes part in the election yet."""
        request = ServiceQueryRequest(
            namespace=self._settings.naming_namespace,
            groupName=self._group,
            serviceName=_SERVICE,
            cluster="",
            healthOnly=False,
        )
        info = (await naming.naming(request, _SERVICE)).serviceInfo
        replicas = [host.metadata.get("replica", "") for host in (info.hosts if info else ()) or ()]
        was_writer, self.is_writer = self.is_writer, min(filter(None, replicas), default="") == self._replica
        if self.is_writer and not was_writer:
            _log.info("this replica writes the status documents", group=self._group)
            self._written.clear()
            there = await listing.documents(self._group)
            self._pending |= {name for name in there if kind_of(name) is not None or "." not in name}
        return self._replica in replicas

    async def _write_pending(self, client: ConfigClient) -> None:
        names = sorted(self._pending)
        for first in range(0, len(names), _CONCURRENT_WRITES):
            batch = names[first : first + _CONCURRENT_WRITES]
            await asyncio.gather(*(self._write(client, name) for name in batch))
        self._tell(None)

    async def _write(self, client: ConfigClient, name: str) -> None:
        if name not in self._written:
            self._written[name] = await client.read(self._group, name)
        status = self._status_of(DocumentId(self._namespace, name)) or self._status_of_ignored(name)
        before = self._written[name]
        if status is None:
            # Under a name that no document of ours has, somebody may keep something else.
            if before and (kind_of(name) is not None or before.text.startswith(_BEGINNING)):
                await client.remove(self._group, name)
            self._written.pop(name, None)
        else:
            text = _HEADER.format(group=self._rules_group) + yaml.safe_dump(
                dict(status), sort_keys=False, allow_unicode=True, width=110
            )
            if before is None or before.text != text:
                try:
                    self._written[name] = await client.publish(self._group, name, text, before)
                except ConflictError:
                    # Another replica, or a person, wrote it. It is read again, and written at the next turn.
                    del self._written[name]
                    return
        self._pending.discard(name)

    def _status_of_ignored(self, name: str) -> Mapping[str, Any] | None:
        why = self._noted.get(name)
        problem = {"severity": "error", "problem": why}
        return {"document": name, "state": "Ignored", "problems": [problem]} if why else None

    def _tell(self, problem: str | None, *, is_outage: bool = False) -> None:
        """Warn of a problem once, until it is over. Of an outage the source warns already."""
        if problem and not is_outage and not self._warned:
            self._warned = True
            _log.warning("status documents cannot be written", group=self._group, reason=problem)
        elif problem != self.trouble:
            _log.debug("status documents: another problem", group=self._group, reason=problem)
        self.trouble = problem
        self._warned = self._warned and problem is not None
