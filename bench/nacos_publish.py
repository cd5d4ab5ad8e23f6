"""A real Nacos: a publish until the rule is read and Envoy serves it, many publishes, one instance of many.

The server is the one of the tests: GRAYPLANE_TEST_NACOS, the official image in Docker, or r-nacos.
"""

import asyncio
import contextlib
import tempfile
import uuid
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from time import perf_counter

import psutil
import yaml

from bench.scale import Scale
from bench.table import Spread, Table, number, size, time
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane
from tests.harness.http import Client, Upstream
from tests.harness.nacos import NacosServer, nacos_server
from tests.harness.nacos_console import Console, console
from tests.harness.recorder import Recorder, recording
from xds.sources.nacos import NacosSource

_HOST = "reviews.example.com"
_DOCUMENTS = 1_000
"""Of the storm, at most as many as the largest size of the scale."""

_STORM = 6
"""How often the scale's storm fits into the one here: a minute in full."""

_IN_FLIGHT = 8
"""Calls of the operator at once; fewer than documents, so that no two are about one document."""

_RATE = 100
"""Publishes a second."""

_INSTANCES = 5_000
"""Of one service, at most as many as the largest size of the scale."""


def measure(scale: Scale) -> list[Table]:
    """Measure all on one server."""
    with nacos_server() as server:
        return [asyncio.run(part(server, scale)) for part in (_one, _storm, _instances)]


@contextlib.asynccontextmanager
async def _namespace(server: NacosServer) -> AsyncIterator[Console]:
    async with console(server, f"bench-{uuid.uuid4().hex[:12]}") as operator:
        yield operator


async def _one(server: NacosServer, scale: Scale) -> Table:
    read, served = [], []
    async with contextlib.AsyncExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        operator = await stack.enter_async_context(_namespace(server))
        recorder = await stack.enter_async_context(
            recording(NacosSource(server.settings(operator.namespace)))
        )
        flags = ("--nacos", server.address)
        environment = server.environment(operator.namespace)
        grayplane = await stack.enter_async_context(Grayplane(Path(home), *flags, environment=environment))
        await stack.enter_async_context(EnvoyProcess(grayplane.bootstrap("edge")))
        client = await stack.enter_async_context(Client(grayplane.edge_port))
        upstreams = [
            await stack.enter_async_context(Upstream("reviews", version)) for version in ("v1", "v2")
        ]
        for upstream in upstreams:
            await operator.register("reviews", "127.0.0.1", upstream.port, {"version": upstream.version})
        for turn in range(scale.warm_up + 5 * scale.runs):
            expected = f"v{turn % 2 + 1}"
            text = _rule(expected)
            began = perf_counter()
            publishing = asyncio.create_task(operator.publish("reviews.yaml", text))
            reading = asyncio.create_task(_until_read(recorder, "reviews.yaml", text))
            while True:
                answer = await client.get(_HOST)
                if answer.status == 200 and answer.json()["version"] == expected:
                    break
            done = perf_counter() - began
            await publishing
            if turn >= scale.warm_up:
                read.append(await reading - began)
                served.append(done)
            await reading
    table = Table(
        "A publish in Nacos → the first answer by the new rule through Envoy",
        "99 % within 100 ms on r-nacos",
        ("until", "median", "99 %"),
    )
    for until, values in (("Grayplane's source has read it", read), ("Envoy answers by it", served)):
        p99 = sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
        table.rows.append([until, time(Spread.of(values)), f"{p99 * 1000:.0f} ms"])
    table.notes.append(
        f"{number(len(served))} publishes, one after the other; the source's is a second reader."
    )
    return table


async def _until_read(recorder: Recorder, document: str, text: str) -> float:
    await recorder.until(lambda r: r.documents.get(document) == text.encode())
    return perf_counter()


async def _storm(server: NacosServer, scale: Scale) -> Table:
    seconds = _STORM * scale.storm_seconds
    names = [f"s{index}.yaml" for index in range(min(_DOCUMENTS, scale.sizes[-1]))]
    at_once = asyncio.Semaphore(_IN_FLIGHT)
    async with _namespace(server) as operator:
        for name in names:
            await operator.publish(name, "n: -1")
        source = NacosSource(server.settings(operator.namespace))
        async with recording(source) as recorder:
            await recorder.until(lambda r: r.synced)
            resident = psutil.Process().memory_info().rss
            began = perf_counter()
            last: dict[str, bytes] = {}

            async def publish(name: str, text: bytes) -> None:
                async with at_once:
                    await operator.publish(name, text.decode())
                recorder.events.clear()  # what the recorder keeps is not Grayplane's

            async with asyncio.TaskGroup() as publishing:
                for turn in range(_RATE * seconds):
                    name = names[turn * 7 % len(names)]
                    last[name] = b"n: %d" % turn
                    publishing.create_task(publish(name, last[name]))
                    await asyncio.sleep(max(0.0, began + (turn + 1) / _RATE - perf_counter()))
            ended = perf_counter()
            await recorder.until(lambda r: last.items() <= r.documents.items())
            late = perf_counter() - ended
            repaired = source.status().repaired
            grown = max(0, psutil.Process().memory_info().rss - resident)
    table = Table(
        "Many publishes: every document ends as published",
        f"{_RATE} publishes a second",
        (
            "documents",
            "publishes",
            "a second",
            "all read after the last",
            "found by a look only",
            "memory grew by",
        ),
    )
    rate = _RATE * seconds / (ended - began)
    table.rows.append(
        [
            number(len(names)),
            number(_RATE * seconds),
            f"{rate:.0f}",
            f"{late * 1000:.0f} ms",
            number(repaired),
            size(grown),
        ]
    )
    return table


async def _instances(server: NacosServer, scale: Scale) -> Table:
    count = min(_INSTANCES, scale.sizes[-1])
    async with _namespace(server) as operator:
        await operator.register("other", "10.0.0.1", 80)
        at_once = asyncio.Semaphore(_IN_FLIGHT)

        async def register(index: int) -> None:
            async with at_once:
                await operator.register("reviews", *_endpoint(index), {"version": "v1"})

        await asyncio.gather(*map(register, range(count)))
        async with recording(NacosSource(server.settings(operator.namespace))) as recorder:
            await recorder.until(lambda r: r.synced and len(r.instances["reviews"]) == count)
            taken, events, changed = [], 0, 0
            for turn in range(scale.runs):
                recorder.events.clear()
                before = set(map(repr, recorder.instances["reviews"]))
                labels = {"version": f"v{turn + 2}"}
                began = perf_counter()
                await operator.register("reviews", *_endpoint(turn), labels)
                await recorder.until(partial(_has, labels))
                taken.append(perf_counter() - began)
                events += len(recorder.events)
                changed += len(set(map(repr, recorder.instances["reviews"])) - before)
    table = Table(
        "One instance of many changes its metadata in Nacos",
        "one event, of its service alone, with one endpoint changed",
        ("instances of the service", "events a change", "endpoints changed in it", "until it is read"),
    )
    changes = len(taken)
    table.rows.append(
        [number(count), f"{events / changes:.2f}", f"{changed / changes:.2f}", time(Spread.of(taken))]
    )
    return table


def _has(labels: dict[str, str], recorder: Recorder) -> bool:
    return any(instance.metadata == labels for instance in recorder.instances["reviews"])


def _endpoint(index: int) -> tuple[str, int]:
    return f"10.1.{index >> 8}.{index & 255}", 8080


def _rule(version: str) -> str:
    return yaml.safe_dump(
        {
            "hosts": [_HOST],
            "subsets": {"v1": {"labels": {"version": "v1"}}, "v2": {"labels": {"version": "v2"}}},
            "baseline": version,
        }
    )
