"""All of Grayplane but its sources: ``python -m bench.pipeline_server`` (``--help`` says more).

Instead of files or Nacos, a source of as many services as wanted.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from pathlib import Path

from bench import workload
from bench.control import serve
from bench.delivery import DELIVERIES
from xds import gc_tuning, logs
from xds.cache import Cache, View
from xds.composition.xds_port import SERVER_PROCESS
from xds.documents import DocumentId, Origin
from xds.pipeline import Pipeline
from xds.rules.instance import ServiceId
from xds.server import Peer, StreamInfo, XdsServer
from xds.server.limits import DEFAULTS, Limits
from xds.server_processes import Admission, Reported, ServerProcesses
from xds.settings import Log, Settings
from xds.snapshot import SnapshotStore, SnapshotWriter
from xds.sources.base import DocumentChanged, InstancesChanged, Synced
from xds.sources.change_buffer import ChangeBuffer
from xds.status import LogSink, Status
from xds.views import CompiledService, NodeGroup, Services, node_group_of
from xds.wire import Node


def report(buffer: ChangeBuffer, services: int, upstreams: list[int] | None = None) -> None:
    """Put into a change buffer what a source says when it starts.

    ``upstreams`` are ports on this machine of the edited service's instances, one of v1 and one of v2.
    """
    for number in range(services):
        buffer.put(DocumentChanged(DocumentId("", workload.document(number)), workload.text(number)))
        buffer.put(InstancesChanged(ServiceId("", workload.service(number)), workload.instances(number)))
    if upstreams:
        local = workload.local_instances(upstreams)
        buffer.put(InstancesChanged(ServiceId("", workload.service(workload.EDITED)), local))
    buffer.put(Synced())


def edit(buffer: ChangeBuffer, number: int) -> None:
    """Put into a change buffer what a source says of an edit."""
    text = workload.text(workload.EDITED, number)
    buffer.put(DocumentChanged(DocumentId("", workload.document(workload.EDITED)), text))


@asynccontextmanager
async def pipeline(
    services: Services, status: Status, buffer: ChangeBuffer, state: Path, opened: Callable[[], None]
) -> AsyncIterator[SnapshotWriter[CompiledService]]:
    """Run a pipeline for the length of a block; ``opened`` is called when there is something to serve.

    Give the writer of the snapshot: it writes in the background whatever is new, all of it at first.
    """
    snapshot = SnapshotWriter(SnapshotStore(state, CompiledService))
    tasks = [
        asyncio.ensure_future(snapshot.run()),
        asyncio.ensure_future(Pipeline(buffer, services, snapshot, status, opened).run()),
    ]
    try:
        yield snapshot
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class _Observer(Status):
    """Does what ``xds.composition.control_plane`` does when a stream ends, too."""

    def __init__(self, services: Services) -> None:
        super().__init__([LogSink()], services.groups_of)
        self._services = services

    def closed(self, stream: StreamInfo) -> None:
        super().closed(stream)
        self._services.leave(node_group_of(stream.node))


def _server(
    arguments: argparse.Namespace, services: Services, status: _Observer
) -> XdsServer | ServerProcesses:
    async def view_of(node: Node, _: Peer) -> View:
        return services.view_of(node_group_of(node), time.time())

    if arguments.processes == 1:
        return XdsServer(view_of, status, limits=Limits(connection_age=arguments.connection_age))
    return ServerProcesses(
        arguments.processes,
        SERVER_PROCESS,
        Settings(log=Log(format="json")),
        view_of=view_of,
        observer=status,
        reported=Reported(
            _ignore,
            _ignore,
            denied=_ignore,
            asked=_ignore,
            settled=_ignore,
            views_released=services.leave_unwatched,
            loop_delays=_ignore,
        ),
        load_wanted=dict,
        admission=Admission(DEFAULTS.streams, DEFAULTS.streams_per_node),
    )


def _ignore(*_: object) -> None:
    """Nobody is told here."""


async def _main(arguments: argparse.Namespace) -> None:
    settings = DELIVERIES[arguments.routes].listeners(arguments.listener)

    def changed(
        group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        if sent:
            status.view_changed(group, generation, services)

    services = Services(Cache(), settings, changed=changed)
    status = _Observer(services)
    server = _server(arguments, services, status)
    buffer = ChangeBuffer()
    if arguments.services:
        report(buffer, arguments.services, arguments.upstreams)
    with tempfile.TemporaryDirectory() as directory:
        async with pipeline(services, status, buffer, Path(directory, "state.sqlite"), server.open):
            await serve(server, lambda number: edit(buffer, number))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--services", type=int, help="how many the source has; none: it says nothing")
    parser.add_argument("--upstreams", type=int, nargs=2, help="ports of the edited service's v1 and v2")
    parser.add_argument("--routes", choices=DELIVERIES, default="shared")
    parser.add_argument("--processes", type=int, default=1, help="that serve streams")
    parser.add_argument("--connection-age", type=float, help="seconds until a connection is closed")
    parser.add_argument("--listener", type=int, default=10000, help="port that proxies listen on")
    return parser.parse_args()


if __name__ == "__main__":
    logs.configure("info", "json")  # as in production: a log line is part of what an edit costs
    gc_tuning.look_rarely()
    asyncio.run(_main(_arguments()))
