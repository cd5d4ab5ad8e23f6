"""Where the time of a push goes: a profile of the server's event loop while edits reach many streams."""

import pstats
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from bench import golang
from bench.corpus import corpus
from bench.processes import GRAYPLANE, Load, Server, load_of, running
from bench.scale import Scale
from bench.table import Table, number

_LONGEST = 20
"""Functions shown."""


class _Cost(NamedTuple):
    """For one edit: calls, and milliseconds in the function itself and with all that it calls."""

    function: str
    calls: float
    own: float
    whole: float


def measure(scale: Scale) -> list[Table]:
    """Profile edits of one route for clients that ask for it."""
    services, streams = scale.sizes[-1], scale.streams[-1]
    overview = Table(
        f"One edit to {number(streams)} streams, {number(services)} services: the server's time",
        "to know what is left",
        ("", "for one edit"),
    )
    profile = Table("The same, by function of the event loop", "to know what is left", _Cost._fields)
    if golang.binary() is None:
        overview.notes.append(golang.ABSENT)
        return [overview]
    resources = corpus(services)
    with running(GRAYPLANE.command(resources)) as server, load_of(server) as load:
        load.connect(resources, streams, everything=False)
        load.ask("edits", count=scale.warm_up)
        overview.rows += _clocks(server, load, scale.runs)
        costs = _profile(server, load, scale.runs)
    overview.rows.append(
        ["Python in the event loop, slowed by the profiler", f"{sum(c.own for c in costs):.1f} ms"]
    )
    for cost in sorted(costs, key=lambda each: -each.own)[:_LONGEST]:
        profile.rows.append(
            [f"`{cost.function}`", f"{cost.calls:,.1f}", f"{cost.own:.2f} ms", f"{cost.whole:.2f} ms"]
        )
    profile.notes.append("cProfile's own cost is in it; it falls on small functions most.")
    return [overview, profile]


def _clocks(server: Server, load: Load, edits: int) -> list[list[str]]:
    used, start = server.cpu, perf_counter()
    load.ask("edits", count=edits)
    wall, cpu = perf_counter() - start, server.cpu - used
    return [
        ["elapsed, with a pause after each for the acknowledgements", f"{wall / edits * 1e3:.1f} ms"],
        ["CPU of all threads, gRPC's too", f"{cpu / edits * 1e3:.1f} ms"],
    ]


def _profile(server: Server, load: Load, edits: int) -> list[_Cost]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "profile")
        server.tell("profile")
        load.ask("edits", count=edits)
        server.tell(f"profiled {file}")
        stats: Any = pstats.Stats(str(file))
    return [
        _Cost(_name(*function), calls / edits, own / edits * 1e3, whole / edits * 1e3)
        for function, (_, calls, own, whole, _) in stats.stats.items()
    ]


def _name(file: str, line: int, function: str) -> str:
    if file == "~":
        return function
    parts = Path(file).parts
    start = max((place for place, part in enumerate(parts) if part in {"xds", "asyncio", "grpc"}), default=-2)
    return f"{'/'.join(parts[start:])}:{line} {function}"
