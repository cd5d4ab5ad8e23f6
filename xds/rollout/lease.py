"""Which replica decides: a lease in the store, taken and renewed by compare-and-set.

No two clocks are compared. The leader counts from before it wrote the lease; another replica takes it over
only if it saw the same text for a whole lease by its own clock. So the leader before has stopped by then,
also if it cannot reach the store: it stops ``_MARGIN`` seconds before its lease ends.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from pydantic import ValidationError

from xds.rollout.plan import Record
from xds.rollout.store import Store, StoreConflictError, StoredText, StoreError

_log = structlog.get_logger(__name__)

LEASE = 15.0
"""Seconds that a lease lasts."""
_RENEWAL = 5.0
_MARGIN = 4.0
"""A decision is kept within this time, or counts as not kept."""
_NAME = "rollouts.leader"


class Held(Record):
    """The lease in the store. ``serial`` grows with each renewal; ``leader`` is empty if it was given up."""

    leader: str = ""
    serial: int = 0
    replicas: tuple[str, ...] = ()


class Lease:
    """One replica's part in the election. ``replica`` is its name, the same after a restart."""

    def __init__(
        self, store: Store, replica: str, clock: Callable[[], float], *, lease: float = LEASE
    ) -> None:
        self._store = store
        self._clock = clock
        self._scale = lease / LEASE
        # Until when this replica leads, by its own clock. Written by ``_turn``, cleared by ``run``.
        self._leads_until = float("-inf")
        # What the store held at the last look, and since when it has been the same. Written by ``_turn`` and
        # ``_write``.
        self._seen: StoredText | None = None
        self._seen_since = float("-inf")
        self.replica = replica
        # The lease at the last look. Written by ``_turn`` and ``_write``.
        self.held = Held()

    def leads(self) -> bool:
        """Whether this replica leads now, and will for as long as a decision takes to be kept."""
        return self._clock() < self._leads_until

    async def run(self) -> None:
        """Take part until cancelled, and give the lease up then."""
        try:
            while True:
                led = self.leads()
                try:
                    await self._turn()
                except StoreError as error:
                    if led and not self.leads():
                        _log.warning("this replica leads rollouts no longer", reason=str(error))
                if self.leads() != led:
                    _log.info("rollouts are led by", leader=self.held.leader, replica=self.replica)
                await asyncio.sleep(_RENEWAL * self._scale)
        finally:
            if self.leads():
                self._leads_until = float("-inf")
                with suppress(StoreError, TimeoutError):
                    async with asyncio.timeout(1):
                        await self._write(self.held.model_copy(update={"leader": ""}))

    async def _turn(self) -> None:
        began = self._clock()
        stored = await self._store.read(_NAME)
        if stored != self._seen or self._seen_since == float("-inf"):
            self._seen, self._seen_since = stored, began
        self.held = _held(stored)
        others = tuple(sorted({*self.held.replicas, self.replica}))
        mine = self.held.leader in {"", self.replica}
        if mine or began - self._seen_since >= LEASE * self._scale:
            taken = Held(leader=self.replica, serial=self.held.serial + 1, replicas=others)
        elif others != self.held.replicas:
            taken = self.held.model_copy(update={"replicas": others})
        else:
            return
        with suppress(StoreConflictError):  # another one was faster
            await self._write(taken)
            if taken.leader == self.replica:
                self._leads_until = began + (LEASE - _MARGIN) * self._scale

    async def _write(self, held: Held) -> None:
        text = held.model_dump_json()
        version = await self._store.write(_NAME, text, self._seen.version if self._seen else None)
        self._seen, self._seen_since, self.held = StoredText(text, version), self._clock(), held


def _held(stored: StoredText | None) -> Held:
    try:
        return Held.model_validate_json(stored.text) if stored else Held()
    except ValidationError:
        return Held()  # somebody wrote into it: it is taken over when the time is up
