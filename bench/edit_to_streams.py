"""One edit, until the last of many xDS clients has received it."""

from bench import golang
from bench.corpus import corpus
from bench.processes import GRAYPLANE, LINEAR, SNAPSHOT, Answer, Contender, load_of, running
from bench.scale import Scale
from bench.table import Spread, Table, number, ratio, time

_STREAMS_OF_EVERYTHING = 100
"""LinearCache goes through all resources of a type for each stream that asks for all."""


def measure(scale: Scale) -> list[Table]:
    """Measure clients that ask for one route, and clients that ask for all."""
    table = Table(
        "One edit → received on all streams (delta, one connection each)",
        "at most LinearCache's time",
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
    if golang.binary() is None:
        table.notes.append(golang.ABSENT)
        return [table]
    for services in scale.sizes:
        for streams in scale.streams:
            table.rows.append(_row(scale, services, streams, everything=False))
        table.rows.append(_row(scale, services, min(_STREAMS_OF_EVERYTHING, *scale.streams), everything=True))
    return [table]


def _row(scale: Scale, services: int, streams: int, *, everything: bool) -> list[str]:
    found = {
        contender: received(scale, contender, services, streams, everything=everything)
        for contender in (GRAYPLANE, LINEAR, SNAPSHOT)
    }
    spreads = {
        contender: Spread.of(answer.delays[-1] for answer in answers) for contender, answers in found.items()
    }
    return [
        number(services),
        number(streams),
        "all routes" if everything else "one route",
        *(time(spread) for spread in spreads.values()),
        ratio(spreads[GRAYPLANE].median, spreads[LINEAR].median),
    ]


def received(
    scale: Scale, contender: Contender, services: int, streams: int, *, everything: bool
) -> list[Answer]:
    """Make edits one after the other; return what the clients saw of each."""
    resources = corpus(services)
    with running(contender.command(resources)) as server, load_of(server) as load:
        load.connect(resources, streams, everything=everything)
        load.ask("edits", count=scale.warm_up)
        return load.ask("edits", count=scale.runs).rounds
