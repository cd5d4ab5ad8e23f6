"""One replica whose streams are served by several processes: an edit until the last client has it."""

import time as clock
from collections.abc import Sequence
from math import ceil

import psutil

from bench import golang, workload
from bench.processes import Answer, Server, load_of, running, whole
from bench.scale import Scale
from bench.table import Spread, Table, number, size, time
from xds.compiler.route_sources import RouteMode, routes_name
from xds.type_urls import ROUTE

_SERVICES = 100
_PROCESSES = (1, 2, 4)
_EDITS = 10
_OF_SIDECARS = 2
"""The streams, as a divisor of the sidecars that several replicas are measured with."""

_ROUTES = f"{routes_name(RouteMode.SCOPED, 'edge')}/{workload.service(workload.EDITED)}"


def measure(scale: Scale) -> list[Table]:
    """Measure the same replica with one process and with more."""
    streams = scale.sidecars // _OF_SIDECARS
    table = Table(
        f"One replica with {number(streams)} streams, served by several processes (xds.processes)",
        "with more cores than processes, a push is divided among them",
        (
            "processes",
            "an edit → half of the clients",
            "99 %",
            "the last one",
            "CPU of the compiling process",
            "of the others together",
            "memory of all",
        ),
    )
    if golang.binary() is None:
        table.notes.append(golang.ABSENT)
        return [table]
    for processes in _PROCESSES:
        table.rows.append(_row(processes, streams))
    table.notes.append(
        f"{_SERVICES} services, scoped routes; medians of {_EDITS} edits. With 1, the same process compiles"
        " and serves; with more, so many serve beside the one that compiles. The clients run on the same"
        " cores."
    )
    return [table]


def _row(processes: int, streams: int) -> list[str]:
    command = whole("--services", _SERVICES, "--routes", RouteMode.SCOPED, "--processes", processes)
    subscription = {"delta": True, "type": ROUTE, "names": [_ROUTES], "persist": True}
    many = {"streams": streams, "connections": streams, "parallel": 64, "resources": 1}
    with running(command) as server, load_of(server) as load:
        load.ask("connect", **subscription, **many)
        load.ask("edits", count=2)
        clock.sleep(1)  # the acknowledgements
        compiling, serving = server.cpu, _cpu(server.children)
        edits = load.ask("edits", count=_EDITS).rounds
        clock.sleep(1)
        compiling, serving = server.cpu - compiling, _cpu(server.children) - serving
        memory = _memory(server)
    return [
        number(processes),
        *(_delay(edits, share) for share in (0.5, 0.99, 1.0)),
        f"{compiling / _EDITS * 1e3:.0f} ms",
        f"{serving / _EDITS * 1e3:.0f} ms" if serving else "–",
        size(memory),
    ]


def _delay(edits: Sequence[Answer], share: float) -> str:
    return time(Spread.of(each.delays[ceil(share * len(each.delays)) - 1] for each in edits))


def _cpu(processes: Sequence[psutil.Process]) -> float:
    times = [each.cpu_times() for each in processes]
    return float(sum(each.user + each.system for each in times))


def _memory(server: Server) -> int:
    return server.memory + sum(each.memory_info().rss for each in server.children)
