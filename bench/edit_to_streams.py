"""One edit, until the last of many xDS clients has received it."""

from bench import golang
from bench.corpus import corpus
from bench.processes import GRAYPLANE, LINEAR, PLAIN, SNAPSHOT, Answer, Contender, load_of, running
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
            *(contender.name for contender in (GRAYPLANE, PLAIN, LINEAR, SNAPSHOT)),
            "Grayplane ÷ LinearCache",
            "Grayplane ÷ grpc.aio alone",
        ),
    )
    table.notes.append(
        "“grpc.aio alone” sends the same bytes and knows no protocol: the least that gRPC costs from Python."
    )
    if golang.binary() is None:
        table.notes.append(golang.ABSENT)
        return [table]
    for services in scale.sizes:
        for streams in scale.streams:
            table.rows.append(_row(scale, services, streams, everything=False))
        few = min(_STREAMS_OF_EVERYTHING, *scale.streams)
        table.rows.append(_row(scale, services, few, everything=True))
    return [table]


def _row(scale: Scale, services: int, streams: int, *, everything: bool) -> list[str]:
    def spread(contender: Contender) -> Spread:
        answers = received(scale, contender, services, streams, everything=everything)
        return Spread.of(answer.delays[-1] for answer in answers)

    ours, linear, snapshot = map(spread, (GRAYPLANE, LINEAR, SNAPSHOT))
    plain = None if everything else spread(PLAIN)  # it has one resource alone
    return [
        number(services),
        number(streams),
        "all routes" if everything else "one route",
        time(ours),
        time(plain) if plain else "–",
        time(linear),
        time(snapshot),
        ratio(ours.median, linear.median),
        ratio(ours.median, plain.median) if plain else "–",
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
