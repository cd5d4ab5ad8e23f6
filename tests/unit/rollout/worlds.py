"""Rollouts without proxies: services that one sets, and load that never ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from tests.unit.rollout.plans import document
from xds.rollout.kept_states import KeptStates
from xds.rollout.load_tally import LoadTally
from xds.rollout.machine import Call
from xds.rollout.observation import Counts, Side
from xds.rollout.outside import Outside, WebhookAnswer
from xds.rollout.rollouts import Alone, Replicas, Rollouts
from xds.rollout.state import State
from xds.rollout.store import FileStore, Store
from xds.routing import Overrides
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument

REVIEWS = ServiceId("", "reviews")
TICK = 0.005
STEPS = [{"weight": 5.0, "for": "60ms"}, {"weight": 25.0, "for": "60ms"}, {"weight": 100.0}]
SUCCESS = {"interval": "20ms", "minRequests": 1, "successRate": {"min": 99.5}}
HOOKS = [
    {"name": "smoke", "url": "https://ci.example.com/smoke", "when": "before-step"},
    {"name": "page", "url": "https://ci.example.com/page", "when": "on-rollback"},
]


class FakeServices:
    """The one service (``KnownServices``); ``weights`` are those put in force, in order."""

    known = True

    def __init__(self, rule: RuleDocument | None = None) -> None:
        self.document = rule or document(steps=STEPS, analysis=SUCCESS)
        self.weights: list[float | None] = []
        self.serving = True

    def changed(self) -> Iterator[ServiceId]:
        yield REVIEWS

    def rule(self, service: ServiceId) -> RuleDocument | None:
        return self.document

    def can_serve(self, service: ServiceId, subset: str) -> bool:
        return self.serving or subset == self.document.baseline

    def clusters(self, service: ServiceId) -> dict[str, str | None]:
        return {f"{service.name}|{subset}": subset for subset in ("stable", "gray")}

    def override(self, service: ServiceId, overrides: Overrides | None) -> None:
        split = overrides.weights["ramp"] if overrides else None
        weight = None if split is None else 100 * split["gray"] / sum(split.values())
        if not self.weights or self.weights[-1] != weight:
            self.weights.append(weight)


class Agreeable(Outside):
    """Webhooks that agree; ``asked`` are the names and serials of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int]] = []

    async def ask(self, service: ServiceId, state: State, call: Call) -> WebhookAnswer:
        self.asked.append((call.hook.name, call.serial))
        return WebhookAnswer(agrees=True, says="200")


@asynccontextmanager
async def running(
    services: FakeServices,
    store: Store,
    local: FileStore,
    replicas: Replicas | None = None,
    *,
    outside: Outside | None = None,
    tally: LoadTally | None = None,
    errors: float = 0.0,
    load: bool = True,
) -> AsyncIterator[Rollouts]:
    """Run rollouts, with much load on both subsets; ``errors`` is gray's share of them."""
    kept = KeptStates(store, local)
    tally = tally or LoadTally()
    rollouts = Rollouts(
        services,
        kept,
        outside or Agreeable(),
        replicas or Alone(),
        tally,
        wall_clock=lambda: datetime.now(UTC),
        tick=TICK,
    )
    await rollouts.restore()
    work = asyncio.create_task(rollouts.run())
    loading = asyncio.create_task(_load(tally, errors if load else None))
    try:
        yield rollouts
    finally:
        for task in (work, loading):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _load(tally: LoadTally, errors: float | None) -> None:
    while errors is not None:
        tally.add(REVIEWS, Side.GRAY, "edge-1", Counts(1000, round(1000 * errors)))
        tally.add(REVIEWS, Side.BASELINE, "edge-1", Counts(1000, 0))
        await asyncio.sleep(TICK)
