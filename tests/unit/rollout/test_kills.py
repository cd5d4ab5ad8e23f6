"""Killed at every write, before and after it: no step is repeated, none is skipped."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.rollout.plans import document
from tests.unit.rollout.worlds import HOOKS, REVIEWS, STEPS, SUCCESS, Agreeable, FakeServices, running
from xds.rollout.state import Phase, State
from xds.rollout.store import FileStore


class Killed(FileStore):
    """A store whose process dies at a write: nothing goes on after that."""

    def __init__(self, directory: Path, at: int, *, before: bool) -> None:
        super().__init__(directory)
        self._left = at
        self._before = before
        self.dead = asyncio.Event()

    async def write(self, name: str, text: str, version: str | None) -> str:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and self._before):
            await self._die()
        written = await super().write(name, text, version)
        if self._left == 0:
            await self._die()
        return written

    async def _die(self) -> None:
        self.dead.set()
        await asyncio.Event().wait()


async def until_ended(directory: Path, services: FakeServices, outside: Agreeable, errors: float) -> State:
    store = FileStore(directory)
    async with running(services, store, store, outside=outside, errors=errors) as rollouts:
        async with asyncio.timeout(20):
            while True:
                await asyncio.sleep(0.005)
                ended = {Phase.PROMOTED, Phase.ROLLED_BACK}
                if REVIEWS in rollouts.ids():
                    state = rollouts.state(REVIEWS)
                    if state.phase in ended and services.weights[-1] == state.weight:
                        return state


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", range(1, 10))
async def test_a_good_release_is_killed(tmp_path: Path, at: int, before: bool) -> None:
    services = FakeServices(document(steps=STEPS, analysis={**SUCCESS, "webhooks": HOOKS}))
    outside = Agreeable()
    store = Killed(tmp_path, at, before=before)
    async with running(services, store, store, outside=outside), asyncio.timeout(20):
        await store.dead.wait()
    state = await until_ended(tmp_path, services, outside, errors=0)
    assert [entry.weight for entry in state.log if entry.what == "enter"] == [5, 25, 100]
    assert [entry.what for entry in state.log].count("begin") == 1
    weights = [0.0, 5.0, 25.0, 100.0]
    in_force = [weight or 0.0 for weight in services.weights]
    assert in_force == sorted(in_force), "the weight never went back"
    assert set(in_force) <= set(weights)
    for now, then in pairwise(dict.fromkeys(in_force)):
        assert weights.index(then) - weights.index(now) == 1, "no step was left out"
    assert len({serial for name, serial in outside.asked if name == "smoke"}) == 3


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", [1, 2])
async def test_a_bad_release_is_killed(tmp_path: Path, at: int, before: bool) -> None:
    services = FakeServices()
    store = Killed(tmp_path, at, before=before)
    async with running(services, store, store, errors=1.0), asyncio.timeout(20):
        await store.dead.wait()
    state = await until_ended(tmp_path, services, Agreeable(), errors=1.0)
    assert state.phase is Phase.ROLLED_BACK
    assert services.weights[-1] == 0
    assert [entry.what for entry in state.log].count("fail") == 1
