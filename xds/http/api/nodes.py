"""Nodes as the API shows them: all streams of one node together."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from xds.http.api.models import ProxyState, ProxySummary, Rejection, Stream
from xds.status import NodeStatus
from xds.type_urls import short

_FRESH = 1.0  # seconds that an answer is good for: a page asks for many nodes, and many pages may be open
_PIECE = 500  # nodes that are looked at at a stretch: a millisecond or two


class Nodes:
    """The connected nodes by id. With thousands of streams they are put together once a second at most."""

    def __init__(
        self, nodes: Callable[[], Iterable[NodeStatus]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._nodes = nodes
        self._clock = clock
        # The last answers, and until when they are good. Written by ``_steps``.
        self._streams: Mapping[str, Sequence[NodeStatus]] = {}
        self._states: Mapping[str, ProxyState] = {}
        self._until = -1.0
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Put them together if need be, in pieces between which others have their turn."""
        async with self._refreshing:
            if self._clock() >= self._until:
                for _ in self._steps():
                    await asyncio.sleep(0)

    def all(self) -> Mapping[str, Sequence[NodeStatus]]:
        """Return the streams of every node, by its id in order."""
        self._look()
        return self._streams

    def states(self) -> Mapping[str, ProxyState]:
        """Return how every node stands, by its id in order."""
        self._look()
        return self._states

    def _look(self) -> None:
        if self._clock() >= self._until:
            for _ in self._steps():
                pass

    def _steps(self) -> Iterator[None]:
        """Put nodes and their states together; yield now and then."""
        known: dict[str, list[NodeStatus]] = {}
        for number, status in enumerate(self._nodes()):
            known.setdefault(status.node, []).append(status)
            if number % _PIECE == 0:
                yield
        streams: dict[str, Sequence[NodeStatus]] = {}
        states: dict[str, ProxyState] = {}
        for number, node in enumerate(sorted(known)):
            streams[node] = known[node]
            states[node] = state_of(known[node])
            if number % _PIECE == 0:
                yield
        self._streams, self._states = streams, states
        self._until = self._clock() + _FRESH


def state_of(streams: Sequence[NodeStatus]) -> ProxyState:
    """Say how a node stands: the worst of its streams."""
    if any(stream.role == "unknown" for stream in streams):
        return "unknown"
    if any(stream.rejections for stream in streams):
        return "rejected"
    return "behind" if any(stream.behind_since is not None for stream in streams) else "in step"


def summary_of(node: str, streams: Sequence[NodeStatus]) -> ProxySummary:
    """Put the streams of a node together for a list."""
    first = min(streams, key=lambda stream: stream.since)
    behind = [stream.behind_since for stream in streams if stream.behind_since is not None]
    return ProxySummary(
        id=node,
        group=first.cluster,
        role=first.role,
        namespace=first.namespace,
        state=state_of(streams),
        address=first.peer,
        version=first.version,
        streams=len(streams),
        connected_at=moment(first.since),
        behind_since=moment(min(behind)) if behind else None,
    )


def connections_of(streams: Iterable[NodeStatus]) -> list[Stream]:
    """Return the streams of a node."""
    return [
        Stream(
            method=stream.method.rpartition("/")[2],
            opened_at=moment(stream.since),
            in_step=stream.in_step,
            behind_since=None if stream.behind_since is None else moment(stream.behind_since),
        )
        for stream in streams
    ]


def rejections_of(streams: Iterable[NodeStatus]) -> list[Rejection]:
    """Return what a node rejected, by its words."""
    by_reason: dict[str, list[str]] = {}
    for stream in streams:
        for rejection in stream.rejections:
            name = f"{short(rejection.resource.type_url)} {rejection.resource.name}"
            by_reason.setdefault(rejection.reason, []).append(name)
    node = next((stream.node for stream in streams), "")
    return [
        Rejection(proxy=node, resources=names, reason=reason) for reason, names in sorted(by_reason.items())
    ]


def moment(seconds: float) -> datetime:
    """Return a time in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
