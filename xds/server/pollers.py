"""Clients that poll: each is taken for connected as long as it comes back."""

import asyncio
import hashlib
import json
from collections.abc import Callable

from xds.cache import Changes, View
from xds.server.errors import exhausted
from xds.server.observer import Client, Observer
from xds.wire import Node

_METHOD = "REST"


class Poller:
    """One client that polls. Watching its view keeps that view alive."""

    def __init__(self, client: Client, view: View) -> None:
        self.client = client
        self.view = view
        self.seen = 0.0

    def changed(self, changes: Changes) -> None:
        """Do nothing: the client will ask (``Watcher``)."""


class Pollers:
    """Those who polled of late. ``patience`` is how long one may stay away, in seconds."""

    def __init__(
        self, view_of: Callable[[Node], View], observer: Observer, *, most: int, patience: float
    ) -> None:
        self._view_of = view_of
        self._observer = observer
        self._most = most
        self._patience = patience
        self._pollers: dict[bytes, Poller] = {}
        self._timers: dict[bytes, asyncio.TimerHandle] = {}

    def welcome(self, node: Node, peer: str) -> View:
        """Return what a node sees, and take note that it is there.

        Raise ``StreamError`` if too many poll.
        """
        key = _key(node)
        poller = self._pollers.get(key)
        if poller is None:
            if len(self._pollers) >= self._most:
                raise exhausted(f"{self._most} clients poll already, which is all there may be")
            poller = self._pollers[key] = Poller(Client(node, peer, _METHOD), self._view_of(node))
            poller.view.watch(poller)
            self._observer.connected(poller.client)
            self._look_again(key)
        poller.seen = asyncio.get_running_loop().time()
        return poller.view

    def close(self) -> None:
        """Take all for gone."""
        for key in tuple(self._pollers):
            self._part(key)

    def _look_again(self, key: bytes) -> None:
        self._timers[key] = asyncio.get_running_loop().call_later(self._patience, self._look, key)

    def _look(self, key: bytes) -> None:
        if asyncio.get_running_loop().time() - self._pollers[key].seen < self._patience:
            self._look_again(key)
        else:
            self._part(key)

    def _part(self, key: bytes) -> None:
        poller = self._pollers.pop(key)
        self._timers.pop(key).cancel()
        poller.view.unwatch(poller)
        self._observer.disconnected(poller.client)


def _key(node: Node) -> bytes:
    """Identify a node by all that its view may depend on."""
    identity = [node.id, node.cluster, node.metadata, node.client_features]
    return hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=16).digest()
