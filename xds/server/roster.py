"""The streams that are open, and how many a node may have."""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from xds.cache import Ref, View
from xds.protocol import Rejected, Stream
from xds.server.errors import exhausted
from xds.server.observer import Client


class Entry(Protocol):
    """One open stream."""

    client: Client
    stream: Stream
    view: View
    rejections: dict[Ref, Rejected]

    def finish(self) -> None:
        """End the stream in good order."""
        ...


class Roster:
    """All streams on which a first request came."""

    def __init__(self, streams_per_node: int) -> None:
        self._streams_per_node = streams_per_node
        self._entries: dict[Entry, None] = {}
        self._of_node: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over a copy: streams may come and go meanwhile."""
        return iter(tuple(self._entries))

    def enter(self, entry: Entry) -> None:
        """Add a stream. Raise ``StreamError`` if its node has too many."""
        node = entry.client.node.id
        if self._of_node[node] >= self._streams_per_node:
            raise exhausted(f"node {node!r} has {self._streams_per_node} streams, which is all it may have")
        self._of_node[node] += 1
        self._entries[entry] = None

    def leave(self, entry: Entry) -> None:
        """Take a stream off that was added."""
        node = entry.client.node.id
        del self._entries[entry]
        self._of_node[node] -= 1
        if not self._of_node[node]:
            del self._of_node[node]
