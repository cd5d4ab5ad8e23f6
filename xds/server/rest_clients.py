"""Clients that poll: each counts as connected while it comes back in time."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable

from xds.cache import Changes, View
from xds.server.authorization import Authorization
from xds.server.errors import exhausted
from xds.server.observer import Observer, Peer, StreamInfo
from xds.wire import Node

_METHOD = "REST"


class RestClient:
    """One client that polls. Watching its view keeps that view alive."""

    def __init__(self, info: StreamInfo, view: View) -> None:
        self.info = info
        self.view = view
        # When it last polled, by the clock of the event loop. Written by ``RestClients``, as are the next
        # two.
        self.seen = 0.0
        # The generations of its view that it was answered with, and that it is known to have.
        self.generation = 0
        self.in_step = -1

    def changed(self, changes: Changes) -> None:
        """Do nothing: the client will ask (``Watcher``)."""


class RestClients:
    """The clients that polled recently. ``patience``: for how long one may stay away, in seconds."""

    def __init__(
        self,
        view_of: Callable[[Node, Peer], Awaitable[View]],
        observer: Observer,
        authorization: Authorization | None,
        *,
        most: int,
        patience: float,
    ) -> None:
        self._view_of = view_of
        self._observer = observer
        self._authorization = authorization
        self._most = most
        self._patience = patience
        # By what identifies a node; the timer of each looks whether it still polls. Written by ``view_for``
        # and ``_remove``.
        self._clients: dict[bytes, RestClient] = {}
        self._timers: dict[bytes, asyncio.TimerHandle] = {}

    async def view_for(self, node: Node, peer: Peer) -> View:
        """Return what a node sees; it counts as connected from now on.

        Raise ``StreamError`` if too many poll, or it may not be this node.
        """
        if self._authorization:
            self._authorization.check(node, peer)
        key = _key(node)
        view = None if key in self._clients else await self._view_of(node, peer)
        client = self._clients.get(key)  # it may have polled twice
        if client is None:
            assert view
            client = self._add(key, StreamInfo(node, peer, _METHOD), view)
        elif client.generation > client.in_step:
            client.in_step = client.generation
            self._observer.in_step(client.info, client.generation, frozenset())
        client.generation = client.view.generation
        client.seen = asyncio.get_running_loop().time()
        return client.view

    def _add(self, key: bytes, info: StreamInfo, view: View) -> RestClient:
        if len(self._clients) >= self._most:
            raise exhausted(f"{self._most} clients poll already, which is all there may be")
        client = self._clients[key] = RestClient(info, view)
        view.watch(client)
        view.filled()
        self._observer.opened(info)
        self._check_later(key)
        return client

    def close(self) -> None:
        """Count all as gone."""
        for key in tuple(self._clients):
            self._remove(key)

    def _check_later(self, key: bytes) -> None:
        self._timers[key] = asyncio.get_running_loop().call_later(self._patience, self._check, key)

    def _check(self, key: bytes) -> None:
        if asyncio.get_running_loop().time() - self._clients[key].seen < self._patience:
            self._check_later(key)
        else:
            self._remove(key)

    def _remove(self, key: bytes) -> None:
        client = self._clients.pop(key)
        self._timers.pop(key).cancel()
        client.view.unwatch(client)
        self._observer.closed(client.info)


def _key(node: Node) -> bytes:
    """Identify a node by all that its view may depend on."""
    identity = [node.id, node.cluster, node.metadata, node.client_features]
    return hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=16).digest()
