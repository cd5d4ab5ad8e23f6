"""One edit through a real Envoy, until a request is answered by it, and what it costs Envoy."""

import asyncio
import itertools
from time import perf_counter

from bench.delivery import DELIVERIES, Delivery
from bench.proxy import Proxy, proxy, version_after
from bench.scale import Scale
from bench.table import Spread, Table, number, size, time

_SETTLED = 1.0
"""Seconds after which Envoy has done what loading left to be done."""

_RARELY = 0.05
"""Seconds between two requests while CPU is measured, so that it is that of the edit."""


def measure(scale: Scale) -> list[Table]:
    """Measure each way that routes reach a proxy."""
    served = Table(
        "One rule edit through a real Envoy → served",
        "scoped and lazy at most 10 ms with 10,000 services",
        ("services", *DELIVERIES),
    )
    cost = Table(
        "What Envoy needs: memory (RSS), and CPU for each edit",
        "lazy: memory independent of the number of services",
        ("services", *(f"{name}: {what}" for name in DELIVERIES for what in ("memory", "CPU"))),
    )
    for services in scale.sizes:
        found = [asyncio.run(_measure(scale, services, delivery)) for delivery in DELIVERIES.values()]
        served.rows.append([number(services), *(edit for edit, _, _ in found)])
        cost.rows.append([number(services), *(cell for _, *cells in found for cell in cells)])
    served.notes.append(
        "From the edited document in Grayplane's change buffer to the first answer by the new rule, asked for"
        " without a pause on one connection."
    )
    cost.notes.append("A lazy sidecar has called one service. CPU is of all threads.")
    return [served, cost]


async def _measure(scale: Scale, services: int, delivery: Delivery) -> tuple[str, str, str]:
    async with proxy(services, delivery) as running:
        await asyncio.sleep(_SETTLED)
        edits = itertools.count(1)
        for _ in range(scale.warm_up):
            await _served(running, next(edits))
        seconds = [await _served(running, next(edits)) for _ in range(scale.runs)]
        used = running.cpu
        for _ in range(scale.runs):
            await _served(running, next(edits), pause=_RARELY)
        cpu = (running.cpu - used) / scale.runs
        return time(Spread.of(seconds)), size(running.memory), f"{cpu * 1e3:.1f} ms"


async def _served(running: Proxy, edit: int, pause: float = 0.0) -> float:
    async with running.tester() as client:
        await client.ask()
        start = perf_counter()
        await running.edit(edit)
        while await client.ask() != (200, version_after(edit)):  # noqa: ASYNC110 - Envoy raises no event
            await asyncio.sleep(pause)
        return perf_counter() - start
