"""An xDS client without a connection: it drives the protocol in this process."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from xds.cache import Changes, View
from xds.protocol import DELTA, Stream
from xds.wire import DeltaRequest
from xds.wire.descriptors import message_class

_RESPONSE: Any = message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")


class InProcessClient:
    """Asks for everything of some types and takes and acknowledges whatever comes (``Watcher``)."""

    def __init__(self, view: View, requests: Iterable[DeltaRequest]) -> None:
        self.news = asyncio.Event()
        self._stream = Stream(DELTA, view)
        for request in requests:
            self._stream.receive(request)
        view.watch(self)
        self.take()

    def changed(self, changes: Changes) -> None:
        """Hand on a change of the view."""
        self._stream.on_change(changes)
        self.news.set()

    def take(self) -> float:
        """Take all responses; return when the bytes of the last were there (``time.perf_counter``)."""
        there: float | None = None
        while response := self._stream.poll(0.0):
            there = time.perf_counter()
            message = _RESPONSE.FromString(response)
            self._stream.receive(DeltaRequest(type_url=message.type_url, response_nonce=message.nonce))
        self.news.clear()
        assert there is not None, "a change led to no response"
        return there
