"""How streams keep up with their views, in memory that does not grow with documents times nodes."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from xds.cache import Ref
from xds.documents import DocumentId
from xds.server import StreamInfo
from xds.status.model import Behind, NodeStatus, ProxyCount, Rejection
from xds.views import NodeGroup

_NEVER = -1
"""The generation of a stream that was not in step yet."""

_NAMED = 10
"""Nodes that are behind and named; the others are counted."""


@dataclass(slots=True, eq=False)
class _StreamRecord:
    """What is known of one open stream."""

    info: StreamInfo
    group: NodeGroup
    since: float
    # The generation of its view at which it was last in step. Written by ``in_step``.
    generation: int = _NEVER
    # When its view first changed after that. Written by ``in_step`` and ``view_changed``.
    behind_since: float | None = None
    # What it rejected, by resource. Written by ``rejected`` and ``acknowledged``.
    rejections: dict[Ref, Rejection] = field(default_factory=dict)


@dataclass(slots=True)
class _GroupRecord:
    """The streams of one node group, and what changed in its view that not all of them have."""

    generation: int = 0
    streams: dict[_StreamRecord, None] = field(default_factory=dict)
    # Streams that are not in step with ``generation``.
    behind: dict[_StreamRecord, None] = field(default_factory=dict)
    # By document, the generation of its last change, 0 for one that a new stream lacks. Empty as soon as
    # nobody is behind.
    pending: dict[DocumentId, int] = field(default_factory=dict)
    # Whether a stream came, went or moved since ``Streams.moved`` was last asked.
    moved: bool = False
    # Generations of all nodes in order, and the nodes; None after a change. Written by ``order``.
    ordered: list[tuple[int, str]] | None = None

    def order(self) -> list[tuple[int, str]]:
        """Return the generation of each node, the least of its streams', in ascending order."""
        if self.ordered is None:
            nodes: dict[str, int] = {}
            for stream in self.streams:
                node = stream.info.node.id
                nodes[node] = min(stream.generation, nodes.get(node, stream.generation))
            self.ordered = sorted((generation, node) for node, generation in nodes.items())
        return self.ordered

    def touch(self) -> None:
        """Note that a stream came, went or moved."""
        self.ordered = None
        self.moved = True


class Streams:
    """All open streams and their groups."""

    def __init__(self) -> None:
        # All open streams, and those of each group. Written by ``open`` and ``close``.
        self._streams: dict[StreamInfo, _StreamRecord] = {}
        self._groups: dict[NodeGroup, _GroupRecord] = {}
        # Rejections by document. Written with those of the streams.
        self._rejections: dict[DocumentId, dict[tuple[StreamInfo, Ref], Rejection]] = {}
        # Streams that were not in step yet, and whether one became so, or ended, since ``moved`` was last
        # asked. Written by ``open``, ``in_step`` and ``close``.
        self._joining: dict[_StreamRecord, None] = {}
        self._joined = False
        # Documents whose status was read while any stream was joining: each such counts as behind with all
        # documents of its view, be they pending or not. Written by ``read``.
        self._read: set[DocumentId] = set()

    def open(self, info: StreamInfo, group: NodeGroup, now: float) -> None:
        """Add a stream."""
        stream = self._streams[info] = _StreamRecord(info, group, now, behind_since=now)
        record = self._groups.setdefault(group, _GroupRecord())
        record.streams[stream] = record.behind[stream] = self._joining[stream] = None
        record.touch()

    def close(self, info: StreamInfo) -> set[DocumentId]:
        """Remove a stream; return the documents whose status changes with it."""
        stream = self._streams.pop(info)
        self._has_joined(stream)
        documents = self._forget(stream, frozenset(stream.rejections))
        group = self._groups[stream.group]
        del group.streams[stream]
        documents |= self._reached(group, stream)
        if not group.streams:
            del self._groups[stream.group]
        return documents

    def view_changed(
        self, group: NodeGroup, generation: int, documents: Iterable[DocumentId], now: float
    ) -> None:
        """Note a new generation of a group's view, and the documents that changed in it."""
        record = self._groups.get(group)
        if record is None:
            return  # nobody watches
        record.generation = generation
        for stream in record.streams:
            if stream.behind_since is None:
                stream.behind_since = now
        record.behind = dict(record.streams)
        for document in documents:
            record.pending.pop(document, None)
            record.pending[document] = generation

    def in_step(self, info: StreamInfo, generation: int, rejected: Set[Ref]) -> set[DocumentId]:
        """Note that a stream has everything up to a generation of its view, but for what it rejected.

        Return the documents that every stream of the group has now.
        """
        stream = self._streams[info]
        group = self._groups[stream.group]
        stream.generation = generation
        self._has_joined(stream)
        group.touch()
        documents = self._forget(stream, stream.rejections.keys() - rejected) if stream.rejections else set()
        if generation >= group.generation:
            stream.behind_since = None
            documents |= self._reached(group, stream)
        return documents

    def rejected(self, info: StreamInfo, rejections: Mapping[Ref, Rejection]) -> set[DocumentId]:
        """Note what a client rejected; return the documents that may be at fault."""
        stream = self._streams[info]
        documents = self._forget(stream, rejections.keys() & stream.rejections.keys())
        for ref, rejection in rejections.items():
            stream.rejections[ref] = rejection
            for origin in rejection.origins:
                self._rejections.setdefault(origin.document, {})[info, ref] = rejection
                documents.add(origin.document)
        return documents

    def acknowledged(self, info: StreamInfo, refs: Iterable[Ref]) -> set[DocumentId]:
        """Note what a client acknowledged; return the documents that it rejected before."""
        stream = self._streams[info]
        if not stream.rejections:
            return set()
        return self._forget(stream, stream.rejections.keys() & set(refs))

    def moved(self) -> set[DocumentId]:
        """Return the documents of which more, or fewer, streams are in step since the last call."""
        documents: set[DocumentId] = set()
        if self._joined:
            documents, self._read, self._joined = self._read, set(), False
        for group in self._groups.values():
            if group.moved:
                group.moved = False
                documents |= group.pending.keys()
        return documents

    def read(self, documents: Iterable[DocumentId]) -> None:
        """Note that the status of documents is being read."""
        if self._joining:
            self._read.update(documents)

    def count(
        self, document: DocumentId, groups: Iterable[NodeGroup], before: Set[NodeGroup] = frozenset()
    ) -> ProxyCount:
        """Count the nodes of some groups that have everything of a document.

        The groups in ``before`` are served an earlier version of it still.
        """
        of = programmed = 0
        behind: list[Behind] = []
        for name in groups:
            group = self._groups.get(name)
            if group is None:
                continue
            order = group.order()
            late = (
                bisect_left(order, (group.pending.get(document, 0), "")) if name not in before else len(order)
            )
            if late and name not in before:
                # A stream that is new lacks what did not change, too: say so when it has it.
                group.pending.setdefault(document, 0)
            of += len(order)
            programmed += len(order) - late
            if late and len(behind) < _NAMED:
                since = self._behind_since(group)
                behind += [
                    Behind(node, since.get(node, 0.0)) for _, node in order[: _NAMED - len(behind)][:late]
                ]
        refusing = {stream.node.id for stream, _ in self._rejections.get(document, {})}
        late_names = {one.node for one in behind}
        refused = [node for node in sorted(refusing) if node not in late_names]
        behind += [Behind(node, self._rejected_since(document, node)) for node in refused[:_NAMED]]
        return ProxyCount(max(programmed - len(refused), 0), of, tuple(behind[:_NAMED]))

    def generations(self, node: str) -> dict[NodeGroup, int]:
        """Return the generation of each view of a node that it has everything of."""
        found: dict[NodeGroup, int] = {}
        for stream in self._streams.values():
            if stream.info.node.id == node:
                found[stream.group] = min(stream.generation, found.get(stream.group, stream.generation))
        return found

    def has(self, node: str, document: DocumentId, generations: Mapping[NodeGroup, int]) -> bool:
        """Whether a node has everything of a document in all of these views, up to these generations."""
        if any(stream.node.id == node for stream, _ in self._rejections.get(document, {})):
            return False
        return all(
            generation >= self._groups[group].pending.get(document, 0)
            for group, generation in generations.items()
        )

    def rejections(self, document: DocumentId) -> tuple[Rejection, ...]:
        """Return what nodes rejected that a document may be at fault for."""
        found = self._rejections.get(document, {}).values()
        return tuple(sorted(found, key=lambda rejection: (rejection.at, rejection.node)))

    def nodes(self) -> Iterator[NodeStatus]:
        """Yield the status of every stream."""
        for stream in tuple(self._streams.values()):  # who asks may pause, and streams come and go
            info, group = stream.info, stream.group
            yield NodeStatus(
                node=info.node.id,
                cluster=info.node.cluster,
                role=group.role,
                namespace=group.namespace,
                peer=info.peer.address,
                version=info.node.user_agent_version,
                method=info.method,
                since=stream.since,
                in_step=stream.behind_since is None and not stream.rejections,
                behind_since=stream.behind_since,
                rejections=tuple(stream.rejections.values()),
            )

    def _has_joined(self, stream: _StreamRecord) -> None:
        if stream in self._joining:
            del self._joining[stream]
            self._joined = True

    def _reached(self, group: _GroupRecord, stream: _StreamRecord) -> set[DocumentId]:
        """Note that a stream is not behind any more; return what everybody has, if that was the last."""
        group.behind.pop(stream, None)
        group.touch()
        if group.behind:
            return set()
        documents = set(group.pending)
        group.pending = {}
        return documents

    def _forget(self, stream: _StreamRecord, refs: Iterable[Ref]) -> set[DocumentId]:
        documents: set[DocumentId] = set()
        for ref in tuple(refs):
            for origin in stream.rejections.pop(ref).origins:
                documents.add(origin.document)
                found = self._rejections.get(origin.document, {})
                found.pop((stream.info, ref), None)
                if not found:
                    self._rejections.pop(origin.document, None)
        return documents

    def _behind_since(self, group: _GroupRecord) -> dict[str, float]:
        return {stream.info.node.id: stream.behind_since or 0.0 for stream in group.behind}

    def _rejected_since(self, document: DocumentId, node: str) -> float:
        found = self._rejections[document]
        return min(rejection.at for (stream, _), rejection in found.items() if stream.node.id == node)
