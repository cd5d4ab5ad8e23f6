"""All clients reconnect at once; edits pour in faster than clients take them."""

from bench import golang, workload
from bench.corpus import Corpus, corpus
from bench.processes import GRAYPLANE, LINEAR, Contender, load_of, running, subscription, whole
from bench.scale import Scale
from bench.table import Spread, Table, number, size, time
from xds.compiler.route_sources import RouteMode, routes_name

_RATE = 1_000
"""Edits a second."""

_RECONNECTS = 3

_SCOPED_ROUTES = f"{routes_name(RouteMode.SCOPED, 'edge')}/{workload.service(workload.EDITED)}"
"""The RouteConfiguration of the edited service, as an edge with scoped routes calls it."""


def measure(scale: Scale) -> list[Table]:
    """Measure time and memory. Every client must end with the last edit, or there is no result at all."""
    tables = [_reconnects(scale), _edits(scale)]
    if golang.binary() is None:
        for table in tables:
            table.notes.append(golang.ABSENT)
    return tables


def _reconnects(scale: Scale) -> Table:
    table = Table(
        "All streams reconnect at once, after an edit that they missed → all have it",
        "bounded memory, every client ends right",
        ("services", "streams", "each asks for", "server", "all have it", "memory before", "at most"),
    )
    few, many = scale.streams[0], scale.streams[-1]
    for services in scale.sizes if golang.binary() else ():
        for streams, everything in ((many, False), (few, True)):
            for contender in (GRAYPLANE, LINEAR):
                asks = "all routes" if everything else "one route"
                cells = _reconnect(contender, services, streams, everything=everything)
                table.rows.append([number(services), number(streams), asks, contender.name, *cells])
    table.notes.append(
        "Each client says which versions it holds, as Envoy does, and is sent that edit alone."
    )
    return table


def _reconnect(contender: Contender, services: int, streams: int, *, everything: bool) -> list[str]:
    resources = corpus(services)
    again = subscription(resources, streams, everything=everything, parallel=streams) | {"resources": 1}
    with running(contender.command(resources)) as server, load_of(server) as load:
        load.connect(resources, streams, everything=everything)
        before = server.memory
        with server.peak() as peak:
            seconds = [load.ask("reconnect", **again).delays[-1] for _ in range(_RECONNECTS)]
    return [time(Spread.of(seconds)), size(before), size(peak[0])]


def _edits(scale: Scale) -> Table:
    streams, seconds = scale.streams[-1], scale.storm_seconds
    table = Table(
        f"{number(_RATE)} edits a second for {seconds} s, to {number(streams)} streams",
        "bounded memory, every client ends right, merged and not queued",
        (
            "services",
            "server",
            "edits",
            "responses to each client",
            "last edit on all streams, after it was due",
            "memory before",
            "at most",
        ),
    )
    for services in scale.sizes if golang.binary() else ():
        resources = corpus(services)
        for name, command, edited in (
            ("Grayplane, all of it", _whole(services), _SCOPED_ROUTES),
            ("Grayplane, its server alone", GRAYPLANE.command(resources), resources.edited),
            (LINEAR.name, LINEAR.command(resources), resources.edited),
        ):
            cells = _pour(command, resources._replace(edited=edited), streams, seconds)
            table.rows.append([number(services), name, *cells])
    table.notes.append(
        "“All of it” takes edits of the rule document, merges those that come while it compiles one, and"
        " serves scoped routes. The servers alone are given every edit as a resource."
    )
    return table


def _whole(services: int) -> list[str]:
    return whole("--services", services, "--routes", RouteMode.SCOPED)


def _pour(command: list[str], resources: Corpus, streams: int, seconds: int) -> list[str]:
    with running(command) as server, load_of(server) as load:
        load.connect(resources, streams, everything=False)
        before = server.memory
        with server.peak() as peak:
            answer = load.ask("storm", count=_RATE * seconds, rate=_RATE)
    late = Spread.of([max(0.0, answer.delays[-1] - seconds)])
    return [
        number(_RATE * seconds),
        f"{answer.messages / streams:,.0f}",
        time(late).splitlines()[0],
        size(before),
        size(peak[0]),
    ]
