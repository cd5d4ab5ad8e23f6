"""Runs rollouts: looks at documents, load reports and the clock, and tells the state machine.

Of several replicas one leads and decides; the others serve what it keeps, and bring it what their proxies
report. Commands of people are taken by any of them.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Protocol

import structlog

from xds.rollout.decisions import Decisions, Running
from xds.rollout.kept_states import KeptStates
from xds.rollout.load_tally import LoadTally, Sample
from xds.rollout.machine import (
    COMMANDS,
    Call,
    Command,
    CommandRefusedError,
    HookAnswered,
    InstancesGone,
    IntervalSeen,
    PartSeen,
    PlanRead,
    due,
)
from xds.rollout.outside import Outside
from xds.rollout.plan import Plan, plan_of
from xds.rollout.services import KnownServices
from xds.rollout.state import TRANSITIONS, UNDER_WAY, Phase, State, Trigger
from xds.rollout.store import StoreError
from xds.rules.instance import ServiceId

_log = structlog.get_logger(__name__)


class Replicas(Protocol):
    """This replica among those that serve the same documents. ``replica`` is its name; empty if alone."""

    replica: str

    def leads(self) -> bool:
        """Whether it leads now, and will for as long as a decision takes to be kept."""
        ...

    async def share(self) -> None:
        """Bring to the leader what this replica's proxies reported. Raise ``StoreError``."""
        ...

    async def collect(self) -> None:
        """Add what the other replicas' proxies reported. Raise ``StoreError``."""
        ...


class Alone:
    """The only replica there is."""

    replica = ""

    def leads(self) -> bool:
        """Return True."""
        return True

    async def share(self) -> None:
        """Do nothing: nobody else leads."""

    async def collect(self) -> None:
        """Do nothing: nobody else has reports."""


class Rollouts:
    """All rollouts of a server. ``tick`` is the time between two looks, in seconds."""

    def __init__(
        self,
        services: KnownServices,
        kept: KeptStates,
        outside: Outside,
        replicas: Replicas,
        tally: LoadTally,
        *,
        wall_clock: Callable[[], datetime],
        tick: float,
    ) -> None:
        self._services = services
        self._outside = outside
        self._replicas = replicas
        self._now = wall_clock
        self._tick = tick
        self._decisions = Decisions(services, kept, tally, wall_clock, self._call)
        self._running = self._decisions.running
        # Services whose document may have changed since it was read.
        self._changed: set[ServiceId] = set()
        # What is under way: looks at services, and calls of webhooks. Written by ``_start`` and ``_ended``.
        self._tasks: set[asyncio.Task[None]] = set()
        # Services under a look, so that one whose query hangs holds up no other. Written by ``_turn`` and
        # ``_look``.
        self._looked_at: set[ServiceId] = set()
        self._trouble = _StoreTrouble()
        # Whether this replica led at the last turn. Written by ``_turn``.
        self._led = False
        self.tally = tally

    def ids(self) -> list[ServiceId]:
        """Return the services that have or had a rollout."""
        return sorted(self._running)

    def state(self, service: ServiceId) -> State:
        """Return the state of a rollout. Raise ``KeyError`` if there is none."""
        return self._running[service].state

    def samples(self, service: ServiceId) -> Sequence[Sample]:
        """Return what the last intervals saw, oldest first; only the replica that leads has them."""
        return tuple(self._running[service].samples)

    def commands(self, service: ServiceId) -> tuple[str, ...]:
        """Return what a person may say now."""
        state = self.state(service)
        able = TRANSITIONS[state.phase]
        return tuple(
            word
            for word in COMMANDS
            if Trigger(word) in able
            and (word != "approve" or state.plan.steps[state.step].approval)
            and (word != "abort" or state.weight > 0 or state.phase in UNDER_WAY)
        )

    async def act(self, service: ServiceId, command: Command) -> State:
        """Do what a person wants, at whichever replica.

        Raise ``CommandRefusedError`` if it does not fit, ``StoreError`` if it cannot be kept.
        """
        if service not in self._running:
            raise CommandRefusedError(f"there is no rollout of {service}")
        if not self._replicas.leads():
            await self._decisions.read(service)
        await self._decisions.tell(service, command)
        return self.state(service)

    async def restore(self) -> None:
        """Put in force what this replica knew when it ended, before anything is served."""
        await self._decisions.restore()
        self._changed.update(self._running)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                if self._services.known:
                    await self._turn()
                await asyncio.sleep(self._tick)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._outside.close()

    async def _turn(self) -> None:
        leads = self._replicas.leads()
        if leads and not self._led:
            await self._take_over()
        self._led = leads
        with self._trouble.told("reports of other replicas"):
            await (self._replicas.collect() if leads else self._replicas.share())
        self._changed.update(self._services.changed())
        now = asyncio.get_running_loop().time()
        for service in sorted((self._changed | self._running.keys()) - self._looked_at):
            self._looked_at.add(service)
            self._start(self._look(service, now))

    async def _take_over(self) -> None:
        """Read what the leader before kept, and call the webhooks again that did not answer it."""
        for service in list(self._running):
            with self._trouble.told(service):
                await self._decisions.lead(service, self._replicas.replica)
                self.tally.begin(service)
            for call in due(self.state(service)):
                self._call(service, call)

    async def _look(self, service: ServiceId, now: float) -> None:
        """Do what is due for a service. A store that is away is tried again at the next tick."""
        try:
            with self._trouble.told(service):
                if self._replicas.leads():
                    await self._lead(service, now)
                else:
                    await self._follow(service)
        finally:
            self._looked_at.discard(service)

    async def _lead(self, service: ServiceId, now: float) -> None:
        running = self._running.get(service)
        document = self._services.rule(service)
        if service in self._changed or (running and running.document != document):
            plan = plan_of(document)
            if running or plan:
                await self._decisions.tell(service, PlanRead(plan))
                running = self._running[service]
                running.document = document
                # A document that lost its rollout decides by itself again.
                self._decisions.put_in_force(service)
            self._changed.discard(service)
        if running:
            await self._observe(service, running, now)

    async def _follow(self, service: ServiceId) -> None:
        if service not in self._running:
            plan = plan_of(self._services.rule(service))
            if plan is not None:
                # Until the leader's state is read, nothing of it is in force.
                why, now = "waits for the leader", self._now()
                unknown = State(plan=plan, phase=Phase.ENTERING, why=why, since=now, began=now)
                self._running[service] = Running(unknown)
        if service in self._running:
            await self._decisions.read(service)
        self._changed.discard(service)

    async def _observe(self, service: ServiceId, running: Running, now: float) -> None:
        await self._decisions.catch_up(service)
        if running.state.phase not in UNDER_WAY:
            return
        plan = running.state.plan
        if event := self._instances_gone(service, running, now):
            await self._decisions.tell(service, event)
            return
        seen = self.tally.seen(service)
        if seen.gray.errors:
            await self._decisions.tell(service, PartSeen(seen))
        if now - running.began < plan.interval.total_seconds():
            return
        if plan.analysis.prometheus:
            values = await self._prometheus(plan)
            seen = replace(self.tally.seen(service), prometheus=values)
        if running.state.plan != plan or running.state.phase not in UNDER_WAY:
            return
        running.began = now
        self.tally.begin(service)
        running.samples.append(Sample(self._now(), running.state.weight, seen.gray, seen.baseline))
        await self._decisions.tell(service, IntervalSeen(seen))

    def _instances_gone(self, service: ServiceId, running: Running, now: float) -> InstancesGone | None:
        """Say so when the subset has had no instance for an interval: until then the fallback serves.

        Where the baseline has none either, nothing would be better after a rollback; such a service may be
        decided in applications alone.
        """
        state = running.state
        serves = partial(self._services.can_serve, service)
        if state.weight == 0 or serves(state.plan.subset) or not serves(state.plan.baseline):
            running.gone_since = None
            return None
        running.gone_since = now if running.gone_since is None else running.gone_since
        return InstancesGone() if now - running.gone_since >= state.plan.interval.total_seconds() else None

    async def _prometheus(self, plan: Plan) -> dict[str, float]:
        queries = plan.analysis.prometheus
        values = await asyncio.gather(*(self._outside.query(one.query) for one in queries))
        return {query.name: value for query, value in zip(queries, values, strict=True) if value is not None}

    def _call(self, service: ServiceId, call: Call) -> None:
        self._start(self._ask(service, call))

    async def _ask(self, service: ServiceId, call: Call) -> None:
        answer = await self._outside.ask(service, self.state(service), call)
        _log.info(
            "webhook", service=str(service), name=call.hook.name, agrees=answer.agrees, says=answer.says
        )
        event = HookAnswered(call.hook.name, call.serial, answer.agrees, answer.says)
        kept = False
        while self._replicas.leads() and not kept:
            with self._trouble.told(service):
                await self._decisions.tell(service, event)
                kept = True
            if not kept:
                await asyncio.sleep(self._tick)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a rollout cannot be worked on", exc_info=error)


class _StoreTrouble:
    """Tells of a store that cannot be reached, and that it can again, once each."""

    def __init__(self) -> None:
        # What cannot be kept, and why. Written by ``told``.
        self._reasons: dict[object, str] = {}

    @contextmanager
    def told(self, about: object) -> Iterator[None]:
        """Log a ``StoreError`` in the block, and end the block at it."""
        try:
            yield
        except StoreError as error:
            if self._reasons.get(about) != str(error):
                self._reasons[about] = str(error)
                _log.error(
                    "a rollout cannot be kept; it does not advance", about=str(about), reason=str(error)
                )
        else:
            if self._reasons.pop(about, None):
                _log.info("rollouts are kept again", about=str(about))
