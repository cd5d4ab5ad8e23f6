"""Grayplane's server as gRPC clients and load reports meet it: ``python -m bench.load_server SERVICES``.

The rollouts of so many services are under analysis. Each node is served one Listener.
"""

import asyncio
import sys

from bench import workload
from bench.control import serve
from xds import gc_tuning, logs
from xds.cache import Resource, View
from xds.rollout import LoadTally
from xds.rules.instance import ServiceId
from xds.server import ClusterLoad, LoadReporting, XdsServer
from xds.server.limits import Limits
from xds.type_urls import LISTENER
from xds.wire import Node


def clusters(number: int) -> dict[str, str | None]:
    """Name the clusters of a service under analysis, with their subsets."""
    return {f"{workload.service(number)}|{subset}": subset for subset in ("gray", "stable")}


async def _main(services: int) -> None:
    tally = LoadTally()
    for number in range(services):
        tally.watch(ServiceId("", workload.service(number)), "gray", "stable", clusters(number))
    view = View()
    view.apply([Resource.of(LISTENER, workload.service(0), b"")])
    names = tally.clusters("")

    def reported(node: Node, loads: tuple[ClusterLoad, ...]) -> None:
        tally.reported("", node.id, loads, zones_are_subsets=False)

    reporting = LoadReporting(reported, 5.0, lambda _: names)
    server = XdsServer(lambda *_: view, load_reporting=reporting, limits=Limits(streams=100_000))
    server.open()
    await serve(server, lambda _: None)


if __name__ == "__main__":
    logs.configure("info", "json")
    gc_tuning.look_rarely()
    asyncio.run(_main(int(sys.argv[1])))
