"""The streams that are open, and how many a node may have."""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from xds.cache import View
from xds.protocol import Stream
from xds.server.errors import exhausted
from xds.server.observer import StreamInfo


class OpenStream(Protocol):
    """One open stream."""

    info: StreamInfo
    stream: Stream
    view: View

    @property
    def written(self) -> int:
        """How many responses were sent."""
        ...

    def finish(self) -> None:
        """End the stream in good order."""
        ...


class OpenStreams:
    """All streams whose first request came."""

    def __init__(self, streams_per_node: int) -> None:
        self._streams_per_node = streams_per_node
        # A dict for its order. Written by ``add`` and ``remove``.
        self._streams: dict[OpenStream, None] = {}
        # Streams by node id. Written with ``_streams``.
        self._of_node: Counter[str] = Counter()
        # Responses that streams that ended were sent. Written by ``remove``.
        self._written = 0

    @property
    def written(self) -> int:
        """How many responses were sent on all streams since the start."""
        return self._written + sum(stream.written for stream in self._streams)

    def __iter__(self) -> Iterator[OpenStream]:
        """Iterate over a copy: streams may come and go meanwhile."""
        return iter(tuple(self._streams))

    def add(self, stream: OpenStream) -> None:
        """Add a stream. Raise ``StreamError`` if its node has too many."""
        node = stream.info.node.id
        if self._of_node[node] >= self._streams_per_node:
            raise exhausted(f"node {node!r} has {self._streams_per_node} streams, which is all it may have")
        self._of_node[node] += 1
        self._streams[stream] = None

    def remove(self, stream: OpenStream) -> None:
        """Remove a stream that was added."""
        node = stream.info.node.id
        del self._streams[stream]
        self._written += stream.written
        self._of_node[node] -= 1
        if not self._of_node[node]:
            del self._of_node[node]
