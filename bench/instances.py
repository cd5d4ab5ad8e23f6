"""What a change of one instance costs among many of its service: the assignment is put together anew."""

from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter

from bench.scale import Scale
from bench.table import Spread, Table, time
from xds.cache import Resource
from xds.compiler.upstreams import Destinations, compile_upstreams
from xds.routing import routing_of
from xds.rules.instance import Instance
from xds.type_urls import ENDPOINT

SIZES = (100, 1000, 5000)
_CHANGES = 20


def measure(_: Scale) -> list[Table]:
    """Measure it; the sizes are the same at every scale."""
    table = Table(
        "One instance changes: cluster, assignment and version made anew",
        "5,000 instances in 20 ms; only the changed endpoint is encoded",
        ("instances", "all of them new", "one of them new"),
    )
    _compile([_instance(1 << 23)])  # what is made once for all services
    for size in SIZES:
        first, later = _cost(size)
        table.rows.append((f"{size:,}", time(Spread.of([first])), time(Spread.of(later))))
    return [table]


def _cost(size: int) -> tuple[float, list[float]]:
    """Return the seconds that the first compilation took, and those after one change each."""
    instances = [_instance((size << 10) + number) for number in range(size)]  # none known from another size
    first = _compile(instances)
    later = []
    for change in range(_CHANGES):
        instances[change] = _instance((size << 10) + size + change)
        later.append(_compile(instances))
    return first, later


def _instance(number: int) -> Instance:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Instance(address, 8080, metadata={"version": "v1", "zone": "a"})


def _compile(instances: Sequence[Instance]) -> float:
    began = perf_counter()
    routing = routing_of("reviews", None, datetime.now(UTC))
    for name, upstream in compile_upstreams(Destinations.of(routing), instances).items():
        Resource.of(ENDPOINT, name, upstream.endpoints or b"")
    return perf_counter() - began
