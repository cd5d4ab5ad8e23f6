"""How many streams all server processes may have together."""

from collections import Counter

from xds.server.errors import exhausted


class Admission:
    """Counts streams, and those that are about to be opened, by node and in all."""

    def __init__(self, streams: int, streams_per_node: int) -> None:
        self._most = streams
        self._most_per_node = streams_per_node
        # Streams in all and by node id. Written by ``enter`` and ``leave``.
        self._count = 0
        self._of_node: Counter[str] = Counter()

    def check(self, node: str) -> None:
        """Raise ``StreamError`` if there are so many that a node may have no further one."""
        if self._of_node[node] >= self._most_per_node:
            raise exhausted(f"node {node!r} has {self._most_per_node} streams, which is all it may have")
        if self._count >= self._most:
            raise exhausted(f"the server has {self._most} streams, which is all it may have")

    def enter(self, node: str) -> None:
        """Count a stream."""
        self._count += 1
        self._of_node[node] += 1

    def leave(self, node: str) -> None:
        """Count a stream no more."""
        self._count -= 1
        self._of_node[node] -= 1
        if not self._of_node[node]:
            del self._of_node[node]
