"""What one edit puts on the wire for each client."""

import statistics

from bench import golang, workload
from bench.corpus import TOGETHER, Routes, corpus
from bench.processes import GRAYPLANE, SNAPSHOT, Contender, load_of, running
from bench.scale import Scale
from bench.table import Table, number, ratio, size
from xds.type_urls import ROUTE

_STREAMS = 2
_EDITS = 5


def measure(scale: Scale) -> list[Table]:
    """Measure bytes read from the socket for one edit, HTTP/2 included."""
    table = Table(
        "One edit → bytes that each client receives",
        "scoped routes and delta: at most 1/1000 of state of the world, with 10,000 services",
        (
            "services",
            "scoped, delta",
            "shared, delta",
            "shared, state of the world",
            "scoped, state of the world: SnapshotCache",
            "state of the world ÷ (scoped, delta)",
        ),
    )
    if golang.binary() is None:
        table.notes.append(golang.ABSENT)
        return [table]
    for services in scale.sizes:
        scoped = _bytes(GRAYPLANE, services, "each", delta=True)
        shared = _bytes(GRAYPLANE, services, "together", delta=True)
        whole = _bytes(GRAYPLANE, services, "together", delta=False)
        peers = _bytes(SNAPSHOT, services, "each", delta=False)
        found = (scoped, shared, whole, peers)
        table.rows.append([number(services), *map(size, found), ratio(whole, scoped)])
    table.notes.append("Grayplane's own where nothing else is said. Acknowledgements go the other way.")
    return [table]


def _bytes(contender: Contender, services: int, routes: Routes, *, delta: bool) -> float:
    resources = corpus(services, routes)
    names = [TOGETHER] if routes == "together" else [workload.host(each) for each in range(services)]
    with running(contender.command(resources)) as server, load_of(server) as load:
        load.ask(
            "connect",
            delta=delta,
            type=ROUTE,
            names=names,
            streams=_STREAMS,
            connections=_STREAMS,
            parallel=_STREAMS,
            resources=resources.routes,
        )
        load.ask("edits", count=1)
        rounds = load.ask("edits", count=_EDITS).rounds
    return statistics.median(each.bytes for each in rounds) / _STREAMS
