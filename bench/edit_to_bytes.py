"""One edit, until the bytes of the response that carries it are there to be sent."""

import asyncio
import json
import tempfile
from pathlib import Path
from time import perf_counter

from bench import golang, workload
from bench.compiled import compiled
from bench.corpus import corpus
from bench.delivery import DELIVERIES, Delivery
from bench.inprocess import InProcessClient
from bench.library_server import edit, is_edited, load
from bench.pipeline_server import edit as edit_document
from bench.pipeline_server import pipeline, report
from bench.processes import LINEAR, SNAPSHOT, Contender, running
from bench.scale import Scale
from bench.table import Spread, Table, number, ratio, time
from xds.cache import Cache, View
from xds.compiler.route_sources import RouteMode
from xds.sources.change_buffer import ChangeBuffer
from xds.status import LogSink, Status
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, VIRTUAL_HOST
from xds.views import Services
from xds.wire import DeltaRequest

_WATCHES = ("one", "all")


def measure(scale: Scale) -> list[Table]:
    """Measure the whole pipeline from a document's text, and the cache alone beside the peer's."""
    return [_pipelines(scale), _caches(scale)]


def _pipelines(scale: Scale) -> Table:
    table = Table(
        "One rule edit: text of the document → bytes of the response",
        "with 10,000 services at most 1.2 times what it takes with 100",
        ("services", *DELIVERIES),
    )
    first: dict[str, float] = {}
    for services in scale.sizes:
        cells = []
        for name, delivery in DELIVERIES.items():
            spread = Spread.of(asyncio.run(_edit_documents(scale, services, delivery)))
            growth = spread.median / first.setdefault(name, spread.median)
            cells.append(f"{time(spread)}\n{ratio(growth, 1)}")
        table.rows.append([number(services), *cells])
    table.notes.append(f"The last number of a cell is the ratio to {number(scale.sizes[0])} services.")
    return table


def _caches(scale: Scale) -> Table:
    table = Table(
        "One changed resource → bytes of the response (a RouteConfiguration per service)",
        "at most 1.2 times what it takes with 100; ten times faster than SnapshotCache",
        (
            "services",
            "client asks for",
            "Grayplane",
            "LinearCache",
            "SnapshotCache",
            "SnapshotCache ÷ Grayplane",
        ),
    )
    for services in scale.sizes:
        for names in _WATCHES:
            ours = Spread.of(_edit_resources(scale, services, everything=names == "all"))
            cells = [number(services), f"{names} of them", time(ours)]
            if golang.binary():
                peers = [Spread.of(_peer(scale, peer, services, names)) for peer in (LINEAR, SNAPSHOT)]
                cells += [*map(time, peers), ratio(peers[-1].median, ours.median)]
            else:
                cells += ["no Go"] * 3
            table.rows.append(cells)
    return table


async def _edit_documents(scale: Scale, services: int, delivery: Delivery) -> list[float]:
    """Edit a rule document as a source reports it; time until the response of a proxy's stream."""
    buffer, opened = ChangeBuffer(), asyncio.Event()
    served = Services(Cache(), delivery.listeners(10000))
    seconds = []
    with tempfile.TemporaryDirectory() as directory:
        async with pipeline(
            served, Status([LogSink()], served.groups_of), buffer, Path(directory, "state.sqlite"), opened.set
        ) as snapshot:
            report(buffer, services)
            await opened.wait()
            await snapshot.flush()  # an edit is measured, not the writing of all that came before it
            view = served.view_of(delivery.group, now=0.0).filled()
            client = InProcessClient(view, _requests(delivery, view))
            for edition in range(1, scale.warm_up + scale.runs + 1):
                start = perf_counter()
                edit_document(buffer, edition)
                await client.news.wait()
                seconds.append(client.take() - start)
    return seconds[scale.warm_up :]


def _requests(delivery: Delivery, view: View) -> list[DeltaRequest]:
    """Return what a proxy asks for: all there is or, if it loads lazily, the service that it has called."""
    if delivery.routes is not RouteMode.LAZY:
        named = (ENDPOINT, ROUTE)
        requests = [DeltaRequest(type_url=type_url) for type_url in (CLUSTER, LISTENER, SCOPED_ROUTE)]
        return requests + [DeltaRequest(type_url=type_url, subscribe=("*",)) for type_url in named]
    host = f"/{delivery.host(workload.EDITED)}"
    hosts = tuple(name for name in view.resources(VIRTUAL_HOST) if name.endswith(host))
    clusters = tuple(resource.name for resource in compiled(workload.EDITED).clusters)
    names = {CLUSTER: clusters, ENDPOINT: clusters, VIRTUAL_HOST: hosts}
    return [DeltaRequest(type_url=type_url, subscribe=subscribed) for type_url, subscribed in names.items()]


def _edit_resources(scale: Scale, services: int, *, everything: bool) -> list[float]:
    """Put one version after the other of a resource into a view; time until a stream's response."""
    resources = corpus(services)
    known = load(resources.ours)
    (edited,) = filter(is_edited, known)
    view = View()
    view.apply(known)
    name = "*" if everything else resources.edited
    client = InProcessClient(view, [DeltaRequest(type_url=ROUTE, subscribe=(name,))])
    seconds = []
    for edition in range(1, scale.warm_up + scale.runs + 1):
        body = edit(edited, edition)  # the peer has its message made, too, when its clock starts
        start = perf_counter()
        view.apply([body])
        seconds.append(client.take() - start)
    return seconds[scale.warm_up :]


def _peer(scale: Scale, peer: Contender, services: int, watch: str) -> list[float]:
    with running(peer.command(corpus(services))) as server:
        line = server.tell(f"cost {scale.warm_up + scale.runs} {watch}")
    seconds: list[float] = json.loads(line)
    return seconds[scale.warm_up :]
