"""What a server holds in memory: for its services, and for a stream on which nothing happens."""

import time

from bench import golang
from bench.corpus import corpus
from bench.processes import GRAYPLANE, LINEAR, SNAPSHOT, Contender, load_of, running, whole
from bench.scale import Scale
from bench.table import Table, number, ratio, size

_SETTLED = 1.0
"""Seconds after which what connecting took has been given back, as far as it is."""


def measure(scale: Scale) -> list[Table]:
    """Measure resident memory."""
    tables = [_services(scale), _streams(scale)]
    if golang.binary() is None:
        for table in tables:
            table.notes.append(golang.ABSENT)
    return tables


def _services(scale: Scale) -> Table:
    table = Table(
        "Memory (RSS) with services and no stream",
        "at most go-control-plane's",
        (
            "services",
            "Grayplane, its server alone",
            "Grayplane, all of it",
            "LinearCache",
            "SnapshotCache",
            "server alone ÷ LinearCache",
        ),
    )
    for services in scale.sizes if golang.binary() else ():
        alone, linear, snapshot = (_loaded(each, services) for each in (GRAYPLANE, LINEAR, SNAPSHOT))
        found = (alone, _whole(services), linear, snapshot)
        table.rows.append([number(services), *map(size, found), ratio(alone, linear)])
    table.notes.append("“All of it” has the rule documents, their instances and the compiler as well.")
    return table


def _streams(scale: Scale) -> Table:
    table = Table(
        "Memory (RSS) for each idle stream, on a connection of its own",
        "at most go-control-plane's",
        (
            "services",
            "streams",
            "each asks for",
            "Grayplane",
            "LinearCache",
            "SnapshotCache",
            "Grayplane ÷ LinearCache",
        ),
    )
    services = scale.sizes[-1]
    for streams, everything in ((scale.streams[-1], False), (scale.streams[0], True)):
        if not golang.binary():
            break
        found = [
            _idle(contender, services, streams, everything=everything)
            for contender in (GRAYPLANE, LINEAR, SNAPSHOT)
        ]
        asks = "all routes" if everything else "one route"
        table.rows.append(
            [number(services), number(streams), asks, *map(size, found), ratio(found[0], found[1])]
        )
    return table


def _loaded(contender: Contender, services: int) -> int:
    with running(contender.command(corpus(services))) as server:
        time.sleep(_SETTLED)
        return server.memory


def _whole(services: int) -> int:
    command = whole("--services", services)
    with running(command) as server, load_of(server) as load:
        load.connect(corpus(services, "together"), streams=1, everything=False)  # answered when it is loaded
        time.sleep(_SETTLED)
        return server.memory


def _idle(contender: Contender, services: int, streams: int, *, everything: bool) -> float:
    resources = corpus(services)
    with running(contender.command(resources)) as server, load_of(server) as load:
        time.sleep(_SETTLED)
        before = server.memory
        load.connect(resources, streams, everything=everything)
        time.sleep(_SETTLED)
        return max(0, server.memory - before) / streams
