"""Runs rollouts: brings events to the state machine, keeps what it decides, and puts that in force.

Every decision is kept before it takes effect: killed at any point, a rollout goes on from the last decision
that was kept. One kind is the exception: a weight that goes down is put in force at once, and kept as soon as
the store can be reached.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import structlog

from xds.rollout.load_tally import LoadTally, Sample
from xds.rollout.machine import (
    COMMANDS,
    Call,
    Command,
    CommandRefusedError,
    Event,
    HookAnswered,
    InstancesGone,
    IntervalSeen,
    PartSeen,
    PlanRead,
    advance,
    due,
)
from xds.rollout.outside import Outside
from xds.rollout.plan import Plan, plan_of
from xds.rollout.services import Services
from xds.rollout.state import TRANSITIONS, UNDER_WAY, Phase, State, Trigger
from xds.rollout.store import ConflictError, FileStore, Store, StoreError
from xds.routing import Overrides
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument

_log = structlog.get_logger(__name__)

_SAMPLES = 240
_TRIES = 5


class Leadership(Protocol):
    """Says whether this replica decides."""

    def leads(self) -> bool:
        """Whether it leads now, and will for as long as a decision takes to be kept."""
        ...


class Alone:
    """The leadership of the only replica there is."""

    def leads(self) -> bool:
        """Return True."""
        return True


@dataclass(slots=True)
class _Running:
    """A rollout in memory. ``version`` is that of ``kept``, the text in the store."""

    state: State
    kept: State | None = None
    version: str | None = None
    document: RuleDocument | None = None
    began: float = 0.0
    gone_since: float | None = None
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Rollouts:
    """All rollouts of a server.

    ``store`` is what replicas share, ``local`` this replica's copy, which it serves from after a restart.
    ``tick`` is the time in seconds between two looks at the clock. ``wall_clock`` gives the time of day.
    """

    def __init__(
        self,
        services: Services,
        store: Store,
        local: FileStore,
        outside: Outside,
        *,
        leadership: Leadership,
        wall_clock: Callable[[], datetime],
        tick: float,
    ) -> None:
        self._services = services
        self._store = store
        self._local = local
        self._outside = outside
        self._leadership = leadership
        self._wall_clock = wall_clock
        self._tick = tick
        self._running: dict[ServiceId, _Running] = {}
        self._changed: set[ServiceId] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # A service whose query hangs holds up no other one.
        self._looked_at: set[ServiceId] = set()
        self._trouble: dict[ServiceId, str] = {}
        self.tally = LoadTally()

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
        await self._tell(service, command)
        return self.state(service)

    async def restore(self) -> None:
        """Put in force what this replica knew when it ended, before anything is served."""
        try:
            names = list(await self._local.names())
        except StoreError as error:
            _log.error("the states of rollouts cannot be read", reason=str(error))
            return
        for name in names:
            service = _service(name)
            try:
                stored = await self._local.read(name)
                if stored is None:
                    continue
                state = State.model_validate_json(stored.text)
            except (StoreError, ValueError) as error:
                _log.error("the state of a rollout cannot be read", service=str(service), reason=str(error))
                continue
            running = self._running[service] = _Running(state)
            if self._store is self._local:
                running.kept, running.version = state, stored.version
            self._put_in_force(service, state)
            self._changed.add(service)

    async def run(self) -> None:
        """Work until cancelled."""
        led = False
        try:
            while True:
                if self._services.known:
                    led = await self._turn(led=led)
                await asyncio.sleep(self._tick)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._outside.close()

    async def _turn(self, *, led: bool) -> bool:
        """Look at every rollout; return whether this replica leads."""
        leads = self._leadership.leads()
        if leads and not led:
            await self._take_over()
        self._changed.update(self._services.changed())
        now = asyncio.get_running_loop().time()
        for service in sorted((self._changed | self._running.keys()) - self._looked_at):
            self._looked_at.add(service)
            self._start(self._look(service, now))
        return leads

    async def _take_over(self) -> None:
        """Read what the leader before kept, and call the webhooks again that did not answer it."""
        for service in list(self._running):
            try:
                await self._read(service)
            except StoreError as error:
                self._in_trouble(service, error)
                continue
            self._call(service, due(self._running[service].state))

    async def _look(self, service: ServiceId, now: float) -> None:
        """Do what is due for a service. A store that is away is tried again at the next tick."""
        try:
            if not self._leadership.leads():
                await self._follow(service)
                return
            running = self._running.get(service)
            if service in self._changed or (running and running.document != self._services.rule(service)):
                self._changed.discard(service)
                await self._read_plan(service)
            if running := self._running.get(service):
                await self._observe(service, running, now)
        except StoreError as error:
            self._changed.add(service)
            self._in_trouble(service, error)
        else:
            if self._trouble.pop(service, None):
                _log.info("the state of a rollout is kept again", service=str(service))
        finally:
            self._looked_at.discard(service)

    def _in_trouble(self, service: ServiceId, error: StoreError) -> None:
        if self._trouble.get(service) != str(error):
            self._trouble[service] = str(error)
            _log.error(
                "the state of a rollout cannot be kept; it does not advance",
                service=str(service),
                reason=str(error),
            )

    async def _follow(self, service: ServiceId) -> None:
        if service not in self._running:
            if plan_of(self._services.rule(service)) is None:
                self._changed.discard(service)
                return
            self._running[service] = _Running(_unknown(service, self._services.rule(service), self._now()))
        await self._read(service)
        self._changed.discard(service)

    async def _read(self, service: ServiceId) -> None:
        """Take over what is in the store."""
        running = self._running[service]
        stored = await self._store.read(_name(service))
        if stored is None or stored.version == running.version:
            return
        try:
            state = State.model_validate_json(stored.text)
        except ValueError as error:
            raise StoreError(f"what is kept of the rollout of {service} cannot be read: {error}") from error
        running.state, running.kept, running.version = state, state, stored.version
        await self._copy(service, stored.text)
        self._put_in_force(service, state)

    async def _read_plan(self, service: ServiceId) -> None:
        plan = plan_of(self._services.rule(service))
        if plan is None and service not in self._running:
            return
        await self._tell(service, PlanRead(plan))
        self._running[service].document = self._services.rule(service)
        # A document that lost its rollout decides by itself again; one that got it back does not.
        self._put_in_force(service, self._running[service].state)

    async def _observe(self, service: ServiceId, running: _Running, now: float) -> None:
        plan = running.state.plan
        if running.state != running.kept:
            await self._keep(service, running)
        if running.state.phase not in UNDER_WAY:
            return
        if event := self._instances_gone(service, running, now):
            await self._tell(service, event)
            return
        if now - running.began < plan.interval.total_seconds():
            part = PartSeen(self.tally.seen(service))
            if part.seen.gray.errors:
                await self._tell(service, part)
            return
        seen = self.tally.seen(service)
        await self._tell(service, PartSeen(seen))  # what is clear need not wait for queries
        if queries := await self._prometheus(plan):
            seen = replace(self.tally.seen(service), prometheus=queries)
        if running.state.plan != plan or running.state.phase not in UNDER_WAY:
            return
        running.began = now
        self.tally.begin(service)
        running.samples.append(Sample(self._now(), running.state.weight, seen.gray, seen.baseline))
        await self._tell(service, IntervalSeen(seen))

    def _instances_gone(self, service: ServiceId, running: _Running, now: float) -> InstancesGone | None:
        """Say so when the subset has had no instance for an interval: until then the fallback serves."""
        state = running.state
        if state.weight == 0 or self._services.can_serve(service, state.plan.subset):
            running.gone_since = None
            return None
        running.gone_since = now if running.gone_since is None else running.gone_since
        return InstancesGone() if now - running.gone_since >= state.plan.interval.total_seconds() else None

    async def _prometheus(self, plan: Plan) -> dict[str, float]:
        queries = plan.analysis.prometheus
        values = await asyncio.gather(*(self._outside.query(one.query) for one in queries))
        return {query.name: value for query, value in zip(queries, values, strict=True) if value is not None}

    async def _tell(self, service: ServiceId, event: Event) -> None:
        """Advance, keep, put in force; again if somebody else wrote meanwhile."""
        running = self._running.get(service)
        if running is None:
            if not isinstance(event, PlanRead):
                return
            state, calls = advance(None, event, self._now())
            running = self._running[service] = _Running(state)
            # What another replica began counts, not what this one would begin.
            await self._read(service)
            if running.version is None:
                await self._settle(service, running, calls)
                return
        async with running.lock:
            for _ in range(_TRIES):
                before = running.state
                running.state, calls = advance(before, event, self._now())
                if running.state == before:
                    return
                try:
                    await self._settle(service, running, calls)
                except ConflictError:
                    running.version = None
                    await self._read(service)
                    continue
                except StoreError:
                    if running.state.weight > before.weight or isinstance(event, Command):
                        running.state = before
                    raise
                return
            raise ConflictError(f"the rollout of {service} is written by others all the time")

    async def _settle(self, service: ServiceId, running: _Running, calls: tuple[Call, ...]) -> None:
        state, kept = running.state, running.kept
        if kept and state.weight < kept.weight:
            self._put_in_force(service, state)
        await self._keep(service, running)
        self._put_in_force(service, state)
        self._tell_the_log(service, kept, state)
        if kept is None or (kept.weight, kept.step, kept.phase) != (state.weight, state.step, state.phase):
            running.began = asyncio.get_running_loop().time()
            self.tally.begin(service)
        self._call(service, calls)

    async def _keep(self, service: ServiceId, running: _Running) -> None:
        text = running.state.model_dump_json()
        running.version = await self._store.write(_name(service), text, running.version)
        running.kept = running.state
        await self._copy(service, text)

    async def _copy(self, service: ServiceId, text: str) -> None:
        """Keep a copy for the next start of this replica."""
        if self._store is self._local:
            return
        there = await self._local.read(_name(service))
        await self._local.write(_name(service), text, there.version if there else None)

    def _put_in_force(self, service: ServiceId, state: State) -> None:
        plan, watched = state.plan, state.phase in UNDER_WAY
        document = self._services.rule(service)
        if document is not None and document.rollout is None:
            self._services.override(service, None)
        else:
            weights = {plan.rule: plan.split(state.weight)}
            measured = watched and plan.analysis.latency is not None
            self._services.override(service, Overrides(weights, measured))
        self.tally.watch(
            service,
            self._services.clusters(service, plan.subset) if watched else (),
            self._services.clusters(service, plan.baseline) if watched else (),
        )

    def _tell_the_log(self, service: ServiceId, before: State | None, state: State) -> None:
        new = state.log if before is None else state.log[_common(before, state) :]
        for entry in new:
            level = _log.warning if entry.what in {"fail", "halt"} else _log.info
            details = {"by": entry.by, "source": entry.source} if entry.by else {}
            level(
                f"rollout: {entry.what}",
                document=f"{service.name}.yaml",
                service=str(service),
                revision=state.plan.revision,
                weight=entry.weight,
                why=entry.why,
                **details,
            )

    def _call(self, service: ServiceId, calls: tuple[Call, ...]) -> None:
        for call in calls:
            self._start(self._ask(service, call))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a rollout cannot be worked on", exc_info=error)

    async def _ask(self, service: ServiceId, call: Call) -> None:
        answer = await self._outside.ask(service, self._running[service].state, call)
        _log.info(
            "webhook", service=str(service), name=call.hook.name, agrees=answer.agrees, says=answer.says
        )
        event = HookAnswered(call.hook.name, call.serial, answer.agrees, answer.says)
        while self._leadership.leads():
            try:
                await self._tell(service, event)
            except StoreError as error:
                self._in_trouble(service, error)
                await asyncio.sleep(self._tick)
            else:
                return

    def _now(self) -> datetime:
        return self._wall_clock()


def _common(before: State, after: State) -> int:
    """Return how many entries at the beginning of the log of ``after`` were in that of ``before``."""
    if not before.log:
        return 0
    last = before.log[-1]
    return max((index + 1 for index, entry in enumerate(after.log) if entry == last), default=0)


def _unknown(service: ServiceId, document: RuleDocument | None, now: datetime) -> State:
    """Return the state of a rollout that another replica leads, until it is read: nothing is in force."""
    plan = plan_of(document)
    if plan is None:
        raise ValueError(f"{service} has no rollout")
    return State(plan=plan, phase=Phase.ENTERING, why="waits for the leader", since=now, began=now)


def _name(service: ServiceId) -> str:
    return f"rollout:{service}"


def _service(name: str) -> ServiceId:
    namespace, _, service = name.removeprefix("rollout:").rpartition("/")
    return ServiceId(namespace, service)
