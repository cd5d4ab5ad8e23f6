"""How long edits take to reach clients that read, beside one that never does."""

from bench import golang
from bench.corpus import corpus
from bench.processes import GRAYPLANE, LINEAR, SNAPSHOT, Contender, load_of, running, subscription
from bench.scale import Scale
from bench.table import Spread, Table, number, ratio, time

_PERCENTILE = 0.99


def measure(scale: Scale) -> list[Table]:
    """Measure the 99th percentile of all deliveries of each edit."""
    services, streams = scale.sizes[-1], scale.streams[-1]
    table = Table(
        f"One edit → received, p99 of {number(streams - 1)} streams beside one that never reads",
        "unchanged by it",
        ("server", "none such", "one that never reads", "change"),
    )
    if golang.binary() is None:
        table.notes.append(golang.ABSENT)
        return [table]
    for contender in (GRAYPLANE, LINEAR, SNAPSHOT):
        without, beside = (
            Spread.of(_p99(scale, contender, services, streams - 1, deaf=deaf)) for deaf in (0, 1)
        )
        table.rows.append([contender.name, time(without), time(beside), ratio(beside.median, without.median)])
    table.notes.append(
        f"{number(services)} services. The one that never reads asks for all routes, more than its connection"
        " holds, so that the server cannot send it anything; the others ask for the one that is edited."
    )
    return [table]


def _p99(scale: Scale, contender: Contender, services: int, streams: int, *, deaf: int) -> list[float]:
    resources = corpus(services)
    with running(contender.command(resources)) as server, load_of(server) as load:
        load.connect(resources, streams, everything=False)
        if deaf:
            load.ask("deafen", **subscription(resources, deaf, everything=True))
        load.ask("edits", count=scale.warm_up)
        rounds = load.ask("edits", count=scale.runs).rounds
    return [each.delays[int(len(each.delays) * _PERCENTILE)] for each in rounds]
