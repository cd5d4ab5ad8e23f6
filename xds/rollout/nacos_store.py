"""The store that replicas share: configurations of Nacos, in the group of statuses."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from xds.rollout.store import StoreConflictError, StoredText, StoreError
from xds.sources.nacos import ConfigClient, ConflictError, NacosError, NacosSettings, Stored, connected

_TIMEOUT = 3.0
"""Seconds for one read or write; well within what a leader has left of its lease (``lease``)."""


class NacosStore:
    """Keeps texts as configurations; each write is a compare-and-set of Nacos.

    A name that begins with a namespace and ``/`` is kept there, if the server follows several namespaces;
    all others in the first. A name is the dataId, its ``/`` and what precedes it left out.
    """

    def __init__(self, namespaces: Sequence[NacosSettings], group: str) -> None:
        self._namespaces = namespaces
        self._group = group
        # By namespace; empty before there is a connection. Written by ``run``.
        self._clients: Mapping[str, ConfigClient] = {}

    async def run(self) -> None:
        """Stay connected until cancelled."""
        async with AsyncExitStack() as stack:
            clients = {}
            for settings in self._namespaces:
                connection = await stack.enter_async_context(connected(settings, "config"))
                clients[settings.namespace] = ConfigClient(settings, connection)
            self._clients = clients
            await asyncio.Event().wait()

    async def read(self, name: str) -> StoredText | None:
        """Return what is there (``Store``)."""
        client, data_id = self._place(name)
        try:
            async with asyncio.timeout(_TIMEOUT):
                found = await client.read(self._group, data_id)
        except TimeoutError:
            raise StoreError(f"Nacos did not answer for {data_id} within {_TIMEOUT:g} s") from None
        except NacosError as error:
            raise StoreError(str(error)) from error
        return StoredText(found.text, found.md5) if found else None

    async def write(self, name: str, text: str, version: str | None) -> str:
        """Replace what has this version (``Store``)."""
        client, data_id = self._place(name)
        replaces = None if version is None else Stored("", version)
        try:
            async with asyncio.timeout(_TIMEOUT):
                return (await client.publish(self._group, data_id, text, replaces)).md5
        except ConflictError as error:
            raise StoreConflictError(str(error)) from error
        except TimeoutError:
            raise StoreError(f"Nacos did not take {data_id} within {_TIMEOUT:g} s") from None
        except NacosError as error:
            raise StoreError(str(error)) from error

    def _place(self, name: str) -> tuple[ConfigClient, str]:
        if not self._clients:
            raise StoreError("there is no connection to Nacos yet")
        kind, colon, rest = name.partition(":")
        namespace, slash, service = rest.rpartition("/")
        if slash and namespace in self._clients:
            return self._clients[namespace], f"{kind}{colon}{service}"
        return next(iter(self._clients.values())), name
