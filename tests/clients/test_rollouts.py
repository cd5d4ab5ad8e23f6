"""Rollouts that gRPC clients without a proxy follow, judged by what they report themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.clients.conftest import Mesh
from tests.harness.grayplane import until

_STEPS = [{"weight": 30, "for": "1s"}, {"weight": 70, "for": "1h"}, {"weight": 100}]


@pytest.mark.parametrize("sticky", [False, True], ids=["by chance", "sticky"])
async def test_a_release_goes_on_while_it_is_well_and_back_when_it_fails(mesh: Mesh, sticky: bool) -> None:
    await mesh.serve(v1=1, v2=1)
    split = [{"subset": "stable", "weight": 95}, {"subset": "gray", "weight": 5}]
    ramp: dict[str, Any] = {"name": "ramp", "route": split}
    if sticky:
        ramp["sticky"] = {"header": "x-user-id"}
    mesh.rule(ramp)
    await mesh.connect()
    async with _users(mesh):
        analysis = {"interval": "1s", "minRequests": 10, "successRate": {"min": 95.0}}
        mesh.rule(ramp, rollout={"subset": "gray", "steps": _STEPS, "analysis": analysis})
        await mesh.grayplane.until_logged(
            lambda entry: entry["event"] == "rollout: enter" and entry["weight"] == 70
        )
        [gray] = mesh.servers["v2"]
        gray.fail = True
        failed = await mesh.grayplane.until_logged(lambda entry: entry["event"] == "rollout: fail")
        assert failed["weight"] == 0

        async def spared() -> bool:
            before = gray.calls
            await asyncio.sleep(0.5)
            return gray.calls == before

        await until(spared)


@asynccontextmanager
async def _users(mesh: Mesh) -> AsyncIterator[None]:
    """Call as 100 users in turn, some at a time; that calls fail is what is tested."""

    async def call(first: int) -> None:
        number = first
        while True:
            await mesh.client.call({"x-user-id": f"user-{number % 100}"}, deadline=2.0)
            number += 4
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        calling = [tasks.create_task(call(first)) for first in range(4)]
        yield
        for each in calling:
            each.cancel()
