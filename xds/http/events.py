"""Tells API clients that something changed (server-sent events)."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xds.http.problem import ProblemError

_HEARTBEAT = 15.0  # seconds; less than the idle timeouts of proxies in between
_AT_MOST_EVERY = 0.5  # seconds between two events of one stream: what happens meanwhile is told together
_MOST_STREAMS = 200
_MOST_NAMES = 50


class Topic(StrEnum):
    """What something changed in."""

    SERVICES = "services"
    DOCUMENTS = "documents"
    PROXIES = "proxies"
    ROLLOUTS = "rollouts"
    SOURCES = "sources"


@dataclass(eq=False)
class _Stream:
    # What changed and was not told yet, by topic; None for everything of it.
    pending: dict[Topic, set[str] | None] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Events:
    """The open event streams. A slow client gets the latest state once, not every step."""

    def __init__(self) -> None:
        # The streams that are followed now. Written by ``follow``.
        self._streams: set[_Stream] = set()
        # Whether the server stops. Written by ``close``.
        self._closed = False
        # How much was told, and by which process: positions of others mean nothing here.
        self._told = 0
        self._process = secrets.token_hex(4)

    @property
    def position(self) -> str:
        """How far everything was told; a client that comes back says how far it was told itself."""
        return f"{self._process}-{self._told}"

    def tell(self, topic: Topic, name: str = "") -> None:
        """Tell all streams that something of a topic changed; ``name`` is what, '' for everything."""
        self._told += 1
        for stream in self._streams:
            names = stream.pending.setdefault(topic, set())
            if names is not None:
                names.add(name)
                if not name or len(names) > _MOST_NAMES:
                    stream.pending[topic] = None
            stream.wake.set()

    def close(self) -> None:
        """End all streams: the server stops."""
        self._closed = True
        for stream in self._streams:
            stream.wake.set()

    async def follow(self, since: str | None = None) -> AsyncIterator[Mapping[Topic, frozenset[str]] | None]:
        """Yield what changed, until the server stops; None from time to time when nothing did.

        More than some names of a topic are given as none: everything may have changed. ``since`` is the
        position that a client was at when its last stream ended: if it missed something, that is told as
        everything. Raise ``ProblemError`` if there are too many streams.
        """
        if len(self._streams) >= _MOST_STREAMS:
            raise ProblemError(503, f"{_MOST_STREAMS} event streams are open, which is all there may be")
        stream = _Stream()
        if since not in {None, self.position}:
            stream.pending = dict.fromkeys(Topic)
            stream.wake.set()
        self._streams.add(stream)
        try:
            yield None
            while not self._closed:
                if (changed := await _next(stream)) is None or changed:
                    yield changed
                    await asyncio.sleep(_AT_MOST_EVERY)
        finally:
            self._streams.discard(stream)


async def _next(stream: _Stream) -> Mapping[Topic, frozenset[str]] | None:
    try:
        async with asyncio.timeout(_HEARTBEAT):
            await stream.wake.wait()
    except TimeoutError:
        return None
    stream.wake.clear()
    changed, stream.pending = stream.pending, {}
    return {topic: frozenset(names or ()) for topic, names in changed.items()}
