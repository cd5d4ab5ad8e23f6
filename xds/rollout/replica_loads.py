"""Brings load reports to the leader, whichever replica a proxy is connected to: through the store.

A replica that does not lead writes what its proxies reported, added up, once a report interval: one text for
all services under analysis, however many proxies it has. The leader reads those of all replicas and adds what
grew since it last looked.
"""

from collections.abc import Callable, Mapping

from xds.rollout.load_tally import LoadTally
from xds.rollout.observation import Counts, Latencies, Side
from xds.rollout.plan import Record
from xds.rollout.store import Store, StoreError
from xds.rules.instance import ServiceId


class SubsetLoad(Record):
    """The requests to a subset since a replica began to count."""

    requests: int = 0
    errors: int = 0
    latencies: Mapping[int, int] = {}
    exposed: int = 0

    def counts(self) -> Counts:
        """Return the same as counts."""
        return Counts(self.requests, self.errors, Latencies(self.latencies), self.exposed)

    def since(self, before: "SubsetLoad") -> "SubsetLoad":
        """Return what came after ``before``; all, if the replica began to count anew."""
        if before.requests > self.requests or before.errors > self.errors or before.exposed > self.exposed:
            return self
        latencies = {
            bucket: count - before.latencies.get(bucket, 0)
            for bucket, count in self.latencies.items()
            if count > before.latencies.get(bucket, 0)
        }
        return SubsetLoad(
            requests=self.requests - before.requests,
            errors=self.errors - before.errors,
            latencies=latencies,
            exposed=self.exposed - before.exposed,
        )


class ServiceLoad(Record):
    """The requests to a service since a replica began to count."""

    namespace: str
    service: str
    gray: SubsetLoad
    baseline: SubsetLoad


class ReplicaLoad(Record):
    """What the proxies of a replica reported. ``serial`` grows with every report."""

    serial: int
    services: tuple[ServiceLoad, ...] = ()


class ReplicaLoads:
    """Shares this replica's load, or collects that of the others."""

    def __init__(self, store: Store, replica: str, tally: LoadTally, others: Callable[[], tuple[str, ...]]):
        self._store = store
        self._replica = replica
        self._tally = tally
        self._others = others
        # Of the last report of this replica, and the version of it in the store. Written by ``share``.
        self._serial = 0
        self._version: str | None = None
        # The last report of every other replica, by its name. Written by ``collect``.
        self._collected: dict[str, ReplicaLoad] = {}

    async def share(self) -> None:
        """Write what this replica's proxies reported. Raise ``StoreError``."""
        totals = self._tally.totals()
        if not totals:
            return
        self._serial += 1
        services = tuple(
            ServiceLoad(
                namespace=service.namespace,
                service=service.name,
                gray=_load(counts[Side.GRAY]),
                baseline=_load(counts[Side.BASELINE]),
            )
            for service, counts in totals.items()
        )
        text = ReplicaLoad(serial=self._serial, services=services).model_dump_json()
        name = _name(self._replica)
        if self._version is None:
            there = await self._store.read(name)
            self._version = there.version if there else None
        try:
            self._version = await self._store.write(name, text, self._version)
        except StoreError:
            self._version = None
            raise

    async def collect(self) -> None:
        """Add what the proxies of the other replicas reported since this was last called."""
        for replica in self._others():
            if replica == self._replica:
                continue
            stored = await self._store.read(_name(replica))
            if stored is None:
                continue
            try:
                load = ReplicaLoad.model_validate_json(stored.text)
            except ValueError as error:
                raise StoreError(f"what replica {replica} reported cannot be read: {error}") from error
            before = self._collected.get(replica)
            self._collected[replica] = load
            if before is not None and load.serial != before.serial:
                self._add(replica, before, load)

    def _add(self, replica: str, before: ReplicaLoad, load: ReplicaLoad) -> None:
        known = {(one.namespace, one.service): one for one in before.services}
        nothing = SubsetLoad()
        for one in load.services:
            then = known.get((one.namespace, one.service))
            gray = one.gray.since(then.gray if then else nothing)
            baseline = one.baseline.since(then.baseline if then else nothing)
            service = ServiceId(one.namespace, one.service)
            self._tally.add(service, Side.GRAY, f"replica {replica}", gray.counts())
            self._tally.add(service, Side.BASELINE, f"replica {replica}", baseline.counts())


def _load(counts: Counts) -> SubsetLoad:
    return SubsetLoad(
        requests=counts.requests,
        errors=counts.errors,
        latencies=dict(counts.latencies.buckets),
        exposed=counts.exposed,
    )


def _name(replica: str) -> str:
    return f"rollouts.load.{replica}"
