"""Many weight changes in a row while requests go through a real Envoy."""

import asyncio

from bench.delivery import DELIVERIES, Delivery
from bench.proxy import proxy, version_after
from bench.scale import Scale
from bench.table import Spread, Table, number, time
from bench.traffic import load
from tests.harness.envoy import EnvoyProcess

_RATE = 1_000
"""Requests a second."""

_PAUSE = 0.01
"""Seconds between two changes."""

_USER = ("x-user-id", "user-1")


def measure(scale: Scale) -> list[Table]:
    """Count the requests that failed."""
    services = scale.sizes[0]
    table = Table(
        f"{number(scale.weight_changes)} weight changes in a row at {number(_RATE)} requests a second",
        "no failed request",
        ("routes", "requests", "failed", "median (fastest–slowest)", "changes Envoy took", "rejected"),
    )
    for delivery in DELIVERIES.values():
        table.rows.append(asyncio.run(_measure(scale, services, delivery)))
    table.notes.append(
        f"{number(services)} services. The change after the last is waited for until it is served. Changes"
        " that come while Envoy takes one are merged."
    )
    return [table]


async def _measure(scale: Scale, services: int, delivery: Delivery) -> list[str]:
    async with proxy(services, delivery) as running:
        before = await _updates(running.envoy)
        over = asyncio.Event()
        loading = asyncio.ensure_future(load(running.port, running.host, _USER, _RATE, over))
        for edit in range(1, scale.weight_changes + 1):
            await running.edit(edit)
            await asyncio.sleep(_PAUSE)
        async with running.tester() as client:
            while await client.ask() != (200, version_after(scale.weight_changes)):
                pass
        over.set()
        outcome = await loading
        after = await _updates(running.envoy)
    return [
        delivery.routes,
        number(outcome.statuses.total() + outcome.broken),
        number(outcome.failed),
        time(Spread.of(outcome.seconds)),
        number(after[0] - before[0]),
        number(after[1] - before[1]),
    ]


async def _updates(envoy: EnvoyProcess) -> tuple[int, int]:
    """Count the updates of routes that Envoy took and rejected, however they reach it."""
    success, rejected = [
        await envoy.stats(rf"(rds|vhds)[.].*update_{outcome}$") for outcome in ("success", "rejected")
    ]
    return sum(success.values()), sum(rejected.values())
