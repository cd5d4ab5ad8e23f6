"""What lanes cost: the bytes of the routes of all services, and the time to compile them."""

from datetime import UTC, datetime
from time import process_time

from bench import workload
from bench.compiled import rule
from bench.scale import Scale
from bench.table import Table, ratio, size
from xds.compiler.service import ServiceRoutes, compile_routes
from xds.routing import Surroundings, routing_of
from xds.rules.model import LanesDocument

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHARES = ((0, 1), (1, 0), (10, 0), (10, 100), (10, 1))
"""Lanes, and of how many services one has the subset that serves them; 0: none."""


def measure(scale: Scale) -> list[Table]:
    """Count and measure."""
    services = scale.sizes[-1]
    table = Table(
        f"Lanes: the routes of {services:,} services, as a sidecar holds them all",
        "where no service has their subset, ten lanes cost as much as one",
        ("lanes", "services with their subset", "bytes", "CPU to compile", "bytes ÷ without lanes"),
    )
    without = 0
    for lanes, one_in in SHARES:
        began = process_time()
        compiled = [_compiled(each, lanes, one_in) for each in range(services)]
        took = process_time() - began
        total = sum(len(each.mesh) for each in compiled)
        without = without or total
        have = "–" if not lanes else "none" if not one_in else "all" if one_in == 1 else f"1 in {one_in}"
        table.rows.append((str(lanes), have, size(total), f"{took:.2f} s", ratio(total, without)))
    return [table]


def _compiled(service: int, lanes: int, one_in: int) -> ServiceRoutes:
    document = rule(service)
    served = one_in and service % one_in == 0
    lane = _lanes(lanes, "gray" if served else "no-such-subset")
    return compile_routes(routing_of(workload.service(service), document, NOW, Surroundings({}, lane.lanes)))


def _lanes(count: int, subset: str) -> LanesDocument:
    return LanesDocument.model_validate(
        {
            "lanes": [
                {
                    "name": f"lane-{each}",
                    "baggage": "gray-lane",
                    "subset": subset,
                    "enter": [{"headers": {"x-lane": {"exact": f"lane-{each}"}}}],
                }
                for each in range(count)
            ]
        }
    )
