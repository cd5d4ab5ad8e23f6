"""One edit, until the last of many xDS clients has received it."""

from collections.abc import Sequence
from contextlib import ExitStack

from bench import golang
from bench.corpus import corpus
from bench.processes import GRAYPLANE, LINEAR, PLAIN, SNAPSHOT, Contender, load_of, running
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
    # Grayplane and the bare server are up at once and take turns: both meet the same load of the machine.
    contenders = (GRAYPLANE,) if everything else (GRAYPLANE, PLAIN)  # the bare server has one resource alone
    ours, *bare = received(scale, contenders, services, streams, everything=everything)
    [linear], [snapshot] = (
        received(scale, [each], services, streams, everything=everything) for each in (LINEAR, SNAPSHOT)
    )
    plain = bare[0] if bare else None
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
    scale: Scale, contenders: Sequence[Contender], services: int, streams: int, *, everything: bool
) -> list[Spread]:
    """Make edits, each contender in turn; return how long it was until the last client had one."""
    resources = corpus(services)
    delays: list[list[float]] = [[] for _ in contenders]
    with ExitStack() as stack:
        loads = []
        for contender in contenders:
            server = stack.enter_context(running(contender.command(resources)))
            load = stack.enter_context(load_of(server))
            load.connect(resources, streams, everything=everything)
            load.ask("edits", count=scale.warm_up)
            loads.append(load)
        for _ in range(scale.runs):
            for load, of in zip(loads, delays, strict=True):
                of += [answer.delays[-1] for answer in load.ask("edits", count=1).rounds]
    return [Spread.of(of) for of in delays]
