"""Stages of a push: which nodes of a proxy group get changes first."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from xds.views.node_group import NodeGroup, UnknownNode
from xds.wire import Node

_RETURN = 60.0
"""Seconds for nodes to come back after a restart, before their stage goes on without them."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The nodes that get a change at one stage, beside those of the stages before.

    Chosen by ``count`` (so many that connect first), by ``share`` in percent (by a hash of the node id, so
    that the same are chosen again) or by ``labels`` (of ``node.metadata``).
    ``soak`` is how long all of them must have it, in seconds, before the next stage begins.
    """

    count: int | None = None
    share: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    soak: float = 0.0


class Cohorts:
    """Puts each node into a group and a cohort, and leaves it there while it has an open stream.

    ``stages_of`` returns the stages of a proxy group, none if all of its nodes get changes at once.

    The nodes of all cohorts but the last are remembered over restarts (``seated``, ``restore``): they have
    versions that others have not, and come back into their cohorts.
    """

    def __init__(
        self, group_of: Callable[[Node], NodeGroup], stages_of: Callable[[str], Sequence[Stage]]
    ) -> None:
        self._without_cohort = group_of
        self._stages_of = stages_of
        # Open streams by group and node. Written by ``opened`` and ``closed``.
        self._streams: Counter[tuple[NodeGroup, str]] = Counter()
        # The cohort of each node of a group with stages. Written by ``group_of`` and ``closed``.
        self._cohort_of: dict[tuple[NodeGroup, str], int] = {}
        # How many nodes there are by group and cohort. Written with ``_cohort_of``.
        self._sizes: Counter[tuple[NodeGroup, int]] = Counter()
        # By what identifies a node: the cohort that it had in the run before. Written by ``restore``, cleared
        # when the node is back or its time is up.
        self._reserved: dict[str, int] = {}
        # Until when nodes of the run before are awaited; None: nobody asked yet. Written by ``awaited``.
        self._until: float | None = None
        self.seated: Callable[[str, int | None], None] = lambda *_: None
        """Told of every node that comes into a cohort but the last, and (None) leaves it."""

    def restore(self, seats: Mapping[str, int]) -> None:
        """Begin with what ``seated`` was told in the run before."""
        self._reserved = dict(seats)

    def awaited(self, now: float) -> Set[int]:
        """Return the cohorts of which nodes have not come back yet; they have a minute."""
        self._until = now + _RETURN if self._until is None else self._until
        if now > self._until:
            for seat in self._reserved:
                self.seated(seat, None)
            self._reserved.clear()
        return set(self._reserved.values())

    def group_of(self, node: Node) -> NodeGroup:
        """Return the group of a node, with its cohort."""
        group = self._without_cohort(node)
        if isinstance(group, UnknownNode) or not (stages := self._stages_of(group.name)):
            return group
        key = (group, node.id)
        if key not in self._cohort_of:
            self._cohort_of[key] = cohort = self._choose(group, node, stages)
            self._sizes[group, cohort] += 1
            if cohort < len(stages):
                self.seated(_seat(group, node.id), cohort)
        return replace(group, cohort=self._cohort_of[key])

    def opened(self, node: Node) -> None:
        """Note that a node opened a stream."""
        self._streams[self._without_cohort(node), node.id] += 1

    def closed(self, node: Node) -> None:
        """Note that a stream of a node ended; with its last one it leaves its cohort."""
        key = (self._without_cohort(node), node.id)
        self._streams[key] -= 1
        if not self._streams[key]:
            del self._streams[key]
            cohort = self._cohort_of.pop(key, None)
            if cohort is not None:
                self._sizes[key[0], cohort] -= 1
                if cohort < len(self._stages_of(node.cluster)):
                    self.seated(_seat(key[0], node.id), None)

    def hold(self) -> None:
        """Leave all nodes their cohorts: the server stops, and they come back to the next run."""
        self.seated = lambda *_: None

    def _choose(self, group: NodeGroup, node: Node, stages: Sequence[Stage]) -> int:
        reserved = self._reserved.pop(_seat(group, node.id), None)
        if reserved is not None and reserved < len(stages):
            return reserved
        awaited = Counter(
            cohort for seat, cohort in self._reserved.items() if seat.startswith(_seat(group, ""))
        )
        for cohort, stage in enumerate(stages):
            if stage.count is not None:
                chosen = self._sizes[group, cohort] + awaited[cohort] < stage.count
            elif stage.share is not None:
                chosen = _percentile(node.id) < stage.share
            else:
                chosen = all(node.metadata.get(name) == value for name, value in stage.labels.items())
            if chosen:
                return cohort
        return len(stages)


def _seat(group: NodeGroup, node: str) -> str:
    """Return what identifies a node over restarts; that of all nodes of a group begins alike."""
    fields = [type(group).__name__]
    for name in ("namespace", "name", "port", "upstreams"):
        value = getattr(group, name, None)
        fields.append(",".join(sorted(value)) if isinstance(value, frozenset) else str(value))
    return "\t".join([*fields, node])


def _percentile(node: str) -> float:
    """Return a number from 0 to below 100 that is the same for a node at all times."""
    return int.from_bytes(hashlib.blake2b(node.encode(), digest_size=4).digest()) / 2**32 * 100
