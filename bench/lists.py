"""What a list of values costs Envoy, for each request and in memory."""

import asyncio
import random
import statistics
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import psutil

from bench import golang
from bench.scale import QUICK, Scale
from bench.table import Table, number, size
from tests.envoy.static import LISTENER, SUBSETS, bootstrap, document, virtual_host
from tests.harness.envoy import EnvoyProcess
from tests.harness.http import Client, Upstream
from xds.compiler.names import cluster_name
from xds.routing import Surroundings

HOST = "lists.test"
_PLAIN = "plain.test"
_CONNECTIONS = 16


def measure(scale: Scale) -> list[Table]:
    """Measure requests without a list, with lists as they are compiled, and with lists as patterns."""
    quick = scale is QUICK
    return [asyncio.run(_rates(quick=quick)), asyncio.run(_table(quick=quick))]


async def _rates(*, quick: bool) -> Table:
    """Measure in one Envoy, in turns: a host whose rule has a list, and one without rules."""
    table = Table(
        "Requests per second through Envoy, with a list of 10,000 user ids and without",
        "at least 0.95 with the list, wherever the value stands",
        ("list", "the value is", "requests/s", "of those without a list", "lowest to highest, by round"),
    )
    program = golang.binary()
    if program is None:
        table.notes.append(golang.ABSENT)
        return table
    values = _ids(10_000)
    absent = str(uuid.UUID(int=0))
    cases = {
        ("–", "sent all the same"): (_PLAIN, absent),
        ("10,000 values", "the first"): (HOST, values[0]),
        ("10,000 values", "the last"): (HOST, values[-1]),
        ("10,000 values", "absent"): (HOST, absent),
    }
    rounds, seconds = (2, 0.5) if quick else (10, 3.0)
    counts: dict[tuple[str, str], list[int]] = {case: [] for case in cases}
    async with AsyncExitStack() as stack:
        peer = await asyncio.create_subprocess_exec(
            program, "requests", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        stack.callback(peer.kill)
        assert peer.stdin
        assert peer.stdout
        upstream = int(await peer.stdout.readline())
        hosts = [_host(values, ignore_case=False), virtual_host(document(), _PLAIN)]
        ports = {cluster_name("svc", subset): [upstream] for subset in SUBSETS}
        envoy = await stack.enter_async_context(EnvoyProcess(bootstrap(hosts, ports), timeout=300))
        port = await envoy.port(LISTENER)
        for turn in range(rounds + 1):  # the first one does not count
            for case, (host, value) in cases.items():
                line = f"{port} {host} {_CONNECTIONS} {seconds} x-user-id {value}\n"
                peer.stdin.write(line.encode())
                answered = await peer.stdout.readline()
                if not answered:
                    raise RuntimeError("the load client ended; what it said is above")
                if turn:
                    counts[case].append(int(answered))
    without = counts[next(iter(cases))]
    for case, found in counts.items():
        ratios = sorted(one / other for one, other in zip(found, without, strict=True))
        rate = statistics.median(found) / seconds
        table.rows.append(
            [
                *case,
                number(round(rate)),
                f"{statistics.median(ratios):.2f}",
                f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
            ]
        )
    table.notes.append(
        f"Medians of {rounds} rounds of {seconds:g} s each, in turns, {_CONNECTIONS} connections; client and "
        "upstream are on the same machine."
    )
    return table


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
    values = _ids(count)
    host = _host(values, ignore_case=ignore_case)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream("svc", "any"))
        ports = {cluster_name("svc", subset): [upstream.port] for subset in SUBSETS}
        envoy = await stack.enter_async_context(EnvoyProcess(bootstrap([host], ports), timeout=300))
        client = await stack.enter_async_context(Client(await envoy.port(LISTENER)))
        process = psutil.Process(envoy.pid)
        known = random.Random(1).sample(values, min(count, 1000)) or ["nobody"]
        costs = [await _cpu(process, client, requests, ids) for ids in (known, [f"{one}-" for one in known])]
        memory = process.memory_info().rss
    return [*(f"{cost * 1e6:.0f} µs" for cost in costs), size(len(host)), size(memory)]


def _ids(count: int) -> list[str]:
    chance = random.Random(1)
    return [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(count)]


def _host(values: Sequence[str], *, ignore_case: bool) -> bytes:
    """Compile a rule about these users; none without any."""
    test: dict[str, Any] = {"in": {"list": "ids"}, "ignoreCase": ignore_case}
    rule = {"name": "ids", "match": [{"headers": {"x-user-id": test}}], "route": [{"subset": "one"}]}
    return virtual_host(document(*([rule] if values else [])), HOST, Surroundings({"ids": tuple(values)}))


async def _cpu(process: psutil.Process, client: Client, requests: int, ids: Sequence[str]) -> float:
    """Return the seconds of CPU for a request, after some that do not count."""
    for turn in range(requests // 5 + requests):
        if turn == requests // 5:
            before = sum(process.cpu_times()[:2])
        await client.get(HOST, "/", [("x-user-id", ids[turn % len(ids)])])
    return float(sum(process.cpu_times()[:2]) - before) / requests
