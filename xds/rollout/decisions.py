"""Takes events to the state machine, keeps what it decides, and puts that in force.

Every decision is kept before it takes effect: killed at any point, a rollout goes on from the last decision
that was kept. One kind does not wait for long: a weight that goes down is in force at the latest after
``_PATIENCE``, and is kept as soon as the store can be reached.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from xds.rollout.kept_states import KeptStates
from xds.rollout.load_tally import LoadTally, Sample
from xds.rollout.machine import Call, PlanRead, RolloutEvent, advance
from xds.rollout.services import KnownServices
from xds.rollout.state import UNDER_WAY, State
from xds.rollout.store import StoreConflictError, StoreError
from xds.routing import Overrides
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument

_log = structlog.get_logger(__name__)

_SAMPLES = 240
_TRIES = 5
_PATIENCE = 0.5
"""Seconds that a rollback waits for the store before it is in force anyway."""


@dataclass(slots=True)
class Running:
    """A rollout in memory.

    ``Decisions`` writes the state and when its interval began; ``Rollouts`` the document, the samples and
    since when instances are gone. Times are by the event loop's clock.
    """

    state: State
    kept: State | None = None
    """The state in the store; None: it is not there yet."""
    version: str | None = None
    """The version of ``kept`` in the store."""
    owed: tuple[Call, ...] = ()
    """Webhooks to call once ``state`` is kept."""
    document: RuleDocument | None = None
    """The document that was read last."""
    began: float = 0.0
    """When the interval began."""
    gone_since: float | None = None
    """Since when the subset has no instance; None: it has one."""
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    """What the last intervals saw, the oldest first."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an event is taken to the state machine."""


class Decisions:
    """The rollouts in memory, in step with those that are kept. ``call`` is told of webhooks to call."""

    def __init__(
        self,
        services: KnownServices,
        kept: KeptStates,
        tally: LoadTally,
        wall_clock: Callable[[], datetime],
        call: Callable[[ServiceId, Call], None],
    ) -> None:
        self._services = services
        self._kept = kept
        self._tally = tally
        self._now = wall_clock
        self._call = call
        # By service. Written by ``restore`` and ``tell``.
        self.running: dict[ServiceId, Running] = {}

    async def restore(self) -> None:
        """Put in force what this replica knew when it ended."""
        try:
            async for service, kept in self._kept.copies():
                if isinstance(kept, StoreError):
                    _log.error("the state of a rollout is lost", service=str(service), reason=str(kept))
                    continue
                running = self.running[service] = Running(kept.state)
                if kept.version is not None:
                    running.kept, running.version = kept
                self.put_in_force(service)
        except StoreError as error:
            _log.error("the states of rollouts cannot be read", reason=str(error))

    async def read(self, service: ServiceId) -> None:
        """Take over what is in the store. Raise ``StoreError``."""
        running = self.running[service]
        found = await self._kept.read(service, running.version)
        if found is not None:
            running.state, running.kept, running.version = found.state, found.state, found.version
            running.owed = ()
            self.put_in_force(service)

    async def tell(self, service: ServiceId, event: RolloutEvent) -> None:
        """Advance, keep, put in force; anew if somebody else wrote meanwhile.

        Raise ``CommandRefusedError``, and ``StoreError`` if it cannot be kept: then it did not happen, unless
        it takes weight away.
        """
        running = self.running.get(service)
        if running is None:
            if not isinstance(event, PlanRead) or event.plan is None:
                return
            state, calls = advance(None, event, self._now())
            running = self.running[service] = Running(state, owed=calls)
            # What another replica began counts, not what this one would begin.
            await self.read(service)
        async with running.lock:
            if running.kept is None:
                await self._settle(service, running)
            for _ in range(_TRIES):
                before, owed = running.state, running.owed
                running.state, calls = advance(before, event, self._now())
                running.owed = (*owed, *calls)
                if running.state == before:
                    return
                try:
                    await self._settle(service, running)
                except StoreConflictError:
                    running.version = None
                    await self.read(service)
                except StoreError:
                    if running.state.weight >= before.weight:
                        running.state, running.owed = before, owed
                    raise
                else:
                    return
        raise StoreConflictError(f"the rollout of {service} is written by others all the time")

    async def catch_up(self, service: ServiceId) -> None:
        """Keep what could not be kept before. Raise ``StoreError``."""
        running = self.running[service]
        async with running.lock:
            if running.state != running.kept:
                await self._settle(service, running)

    async def lead(self, service: ServiceId, replica: str) -> None:
        """Read what is kept, and have the leader before refused from now on. Raise ``StoreError``."""
        running = self.running[service]
        async with running.lock:
            await self.read(service)
            if replica and running.state.leader != replica:
                running.state = running.state.model_copy(update={"leader": replica})
                await self._settle(service, running)

    async def _settle(self, service: ServiceId, running: Running) -> None:
        state, kept = running.state, running.kept
        keeping = asyncio.ensure_future(self._kept.write(service, state, running.version))
        if kept and state.weight < kept.weight:
            await asyncio.wait({keeping}, timeout=_PATIENCE)
            self.put_in_force(service)
        running.version = await keeping
        running.kept = state
        self.put_in_force(service)
        _tell_the_log(service, kept, state)
        if kept is None or (kept.weight, kept.step, kept.phase) != (state.weight, state.step, state.phase):
            running.began = asyncio.get_running_loop().time()
            self._tally.begin(service)
        owed, running.owed = running.owed, ()
        for call in owed:
            self._call(service, call)

    def put_in_force(self, service: ServiceId) -> None:
        """Have the weights of a rollout served, and its clusters reported while it is analysed."""
        state = self.running[service].state
        plan, watched = state.plan, state.phase in UNDER_WAY
        document = self._services.rule(service)
        if document is not None and document.rollout is None:
            self._services.override(service, None)
        else:
            weights = {plan.rule: plan.split(state.weight)}
            measured = watched and plan.analysis.latency is not None
            self._services.override(service, Overrides(weights, measured))
        if watched:
            self._tally.watch(service, plan.subset, plan.baseline, self._services.clusters(service))
        else:
            self._tally.ignore(service)


def _tell_the_log(service: ServiceId, before: State | None, state: State) -> None:
    known = before.log[-1] if before and before.log else None
    last = max((index + 1 for index, entry in enumerate(state.log) if entry == known), default=0)
    for entry in state.log[last:]:
        level = _log.warning if entry.what in {"fail", "halt"} else _log.info
        who = {"by": entry.by, "source": entry.source} if entry.by else {}
        level(
            f"rollout: {entry.what}",
            document=f"{service.name}.yaml",
            service=str(service),
            revision=state.plan.revision,
            weight=entry.weight,
            why=entry.why,
            **who,
        )
