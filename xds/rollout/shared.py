"""Replicas that share a store: who leads, and how reports get there."""

from collections.abc import Callable

from xds.rollout.lease import Lease
from xds.rollout.replica_loads import ReplicaLoads


class SharedReplicas:
    """This replica among others (``Replicas``). Reports go through the store once an ``interval``."""

    def __init__(
        self, lease: Lease, loads: ReplicaLoads, interval: float, clock: Callable[[], float]
    ) -> None:
        self._lease = lease
        self._loads = loads
        self._interval = interval
        self._clock = clock
        # When reports are next due, by the clock. Written by ``_is_due``.
        self._due = float("-inf")
        self.replica = lease.replica

    def leads(self) -> bool:
        """Whether this replica leads (``Replicas``)."""
        return self._lease.leads()

    async def share(self) -> None:
        """Bring to the leader what this replica's proxies reported (``Replicas``)."""
        if self._is_due():
            await self._loads.share()

    async def collect(self) -> None:
        """Add what the other replicas' proxies reported (``Replicas``)."""
        if self._is_due():
            await self._loads.collect()

    def _is_due(self) -> bool:
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + self._interval
        return True
