"""How much a benchmark does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Services, streams and repetitions of a run.

    ``sizes`` are numbers of services, ``streams`` of xDS streams, each on a connection of its own.
    ``sidecars`` are streams to several replicas, and ``connection_age`` is that of the replicas, in seconds.
    ``warm_up`` runs come before the ``runs`` that count. ``storm_seconds`` is how long edits pour in, and
    ``weight_changes`` how many there are under load.
    """

    sizes: tuple[int, ...]
    streams: tuple[int, ...]
    runs: int
    warm_up: int
    storm_seconds: int
    weight_changes: int
    sidecars: int
    connection_age: float


FULL = Scale(
    sizes=(100, 1_000, 10_000),
    streams=(100, 1_000),
    runs=20,
    warm_up=5,
    storm_seconds=10,
    weight_changes=1_000,
    sidecars=10_000,
    connection_age=20.0,
)

QUICK = Scale(
    sizes=(20, 200),
    streams=(10, 40),
    runs=3,
    warm_up=1,
    storm_seconds=1,
    weight_changes=50,
    sidecars=200,
    connection_age=3.0,
)
"""To see that everything works; its numbers mean little."""
