"""How long it takes from nothing to everything compiled, and from the disk to the first answer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from time import perf_counter

from bench import restart
from bench.compiled import compiled
from bench.limit import decoded, recipe
from bench.scale import Scale
from bench.table import Spread, Table, number, ratio, time
from xds.type_urls import VIRTUAL_HOST
from xds.views import CompiledService

_RUNS = 3
"""Each takes up to half a minute."""


def measure(scale: Scale) -> list[Table]:
    """Measure both."""
    return [_compiling(scale), restart.measure(scale)]


def _compiling(scale: Scale) -> Table:
    table = Table(
        "Cold start: everything compiled and encoded",
        "at most twice what upb needs from Python to build and encode the same messages",
        (
            "services",
            "reading documents",
            "Grayplane: compile and encode",
            "upb: build and encode",
            "upb: encode alone",
            "Grayplane ÷ upb",
        ),
    )
    for services in scale.sizes:
        ours = [_compile(services) for _ in range(_RUNS)]
        reading, compiling = (Spread.of(seconds) for seconds in zip(*ours, strict=True))
        building, encoding = _upb(services)
        table.rows.append(
            [
                number(services),
                *map(time, (reading, compiling, building, encoding)),
                ratio(compiling.median, building.median),
            ]
        )
    table.notes.append("Each of our runs is a process of its own that has compiled nothing before.")
    return table


def _compile(services: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.compile_once", str(services)]
    reading, compiling = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return float(reading), float(compiling)


def _upb(services: int) -> tuple[Spread, Spread]:
    messages = [decoded(*each) for number in range(services) for each in _messages(compiled(number))]
    recipes = [recipe(message) for message in messages]
    for message, make in zip(messages, recipes, strict=True):
        assert make() == message
    building, encoding = [], []
    for _ in range(_RUNS):
        start = perf_counter()
        for make in recipes:
            make().SerializeToString(deterministic=True)
        building.append(perf_counter() - start)
        start = perf_counter()
        for message in messages:
            message.SerializeToString(deterministic=True)
        encoding.append(perf_counter() - start)
    return Spread.of(building), Spread.of(encoding)


def _messages(service: CompiledService) -> Iterator[tuple[str, bytes]]:
    for resource in (*service.clusters, *service.endpoints):
        yield resource.type_url, resource.body
    for host in (service.mesh, service.edge):
        if host is not None:
            yield VIRTUAL_HOST, host
