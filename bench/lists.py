"""What a list of values costs Envoy, for each request and in memory."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import psutil

from bench.scale import QUICK, Scale
from bench.table import Table, number, size
from tests.envoy.static import LISTENER, SUBSETS, bootstrap, document, virtual_host
from tests.harness.envoy import EnvoyProcess
from tests.harness.http import Client, Upstream
from xds.compiler.names import cluster_name
from xds.routing import Surroundings

HOST = "lists.test"


def measure(scale: Scale) -> list[Table]:
    """Measure requests without a list, with lists as they are compiled, and with lists as patterns."""
    return [asyncio.run(_table(quick=scale is QUICK))]


async def _table(*, quick: bool) -> Table:
    table = Table(
        "A list of user ids (UUIDs): CPU of Envoy for a request, and its memory (RSS)",
        "at most 5 % more than without a list at 10,000 values",
        ("values", "compiled to", "one of the list", "not in the list", "configuration", "memory"),
    )
    requests = 500 if quick else 5000
    for count in (0, 1_000, 10_000) if quick else (0, 1_000, 10_000, 100_000):
        kinds = {"a map": False, "patterns (ignoreCase)": True} if count else {"–": False}
        for kind, ignore_case in kinds.items():
            table.rows.append(
                [number(count), kind, *await _measured(count, requests, ignore_case=ignore_case)]
            )
    table.notes.append("CPU is of all threads, one request after the other on one connection.")
    return table


async def _measured(count: int, requests: int, *, ignore_case: bool) -> Sequence[str]:
    chance = random.Random(1)
    values = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(count)]
    test: dict[str, Any] = {"in": {"list": "ids"}, "ignoreCase": ignore_case}
    rule = {"name": "ids", "match": [{"headers": {"x-user-id": test}}], "route": [{"subset": "one"}]}
    host = virtual_host(document(*([rule] if count else [])), HOST, Surroundings({"ids": tuple(values)}))
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream("svc", "any"))
        ports = {cluster_name("svc", subset): [upstream.port] for subset in SUBSETS}
        envoy = await stack.enter_async_context(EnvoyProcess(bootstrap([host], ports), timeout=300))
        client = await stack.enter_async_context(Client(await envoy.port(LISTENER)))
        process = psutil.Process(envoy.pid)
        known = chance.sample(values, min(count, 1000)) or ["nobody"]
        costs = [await _cpu(process, client, requests, ids) for ids in (known, [f"{one}-" for one in known])]
        memory = process.memory_info().rss
    return [*(f"{cost * 1e6:.0f} µs" for cost in costs), size(len(host)), size(memory)]


async def _cpu(process: psutil.Process, client: Client, requests: int, ids: Sequence[str]) -> float:
    """Return the seconds of CPU for a request, after some that do not count."""
    for turn in range(requests // 5 + requests):
        if turn == requests // 5:
            before = sum(process.cpu_times()[:2])
        await client.get(HOST, "/", [("x-user-id", ids[turn % len(ids)])])
    return float(sum(process.cpu_times()[:2]) - before) / requests
