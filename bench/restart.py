"""How long a new process takes to answer from the disk while its source does not."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import grpc
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest

from bench import workload
from bench.compiled import compiled
from bench.processes import BenchError
from bench.scale import Scale
from bench.table import Spread, Table, number, time
from tests.harness.ports import free_port
from xds.compiler.names import cluster_name
from xds.composition.control_plane import snapshot_path
from xds.settings import Nacos, Settings
from xds.snapshot import SavedService, Snapshot, SnapshotStore
from xds.sources.nacos.settings import GRPC_PORT_OFFSET
from xds.type_urls import CLUSTER
from xds.views import CompiledService
from xds.wire import encode

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

_RUNS = 5
"""Each takes some seconds."""

_POLL = 0.005
"""Seconds between two attempts to connect to a server that does not listen yet."""

_LIMIT = 60.0
"""Seconds after which a server that does not listen is given up."""

_EVERYTHING: Sequence[str] = ()
_ONE = (cluster_name(workload.service(workload.EDITED), "stable"),)


def measure(scale: Scale) -> Table:
    """Measure ``grayplane serve`` as an operator starts it, with Nacos down and with Nacos silent."""
    table = Table(
        "Restart with a Nacos that does not answer: start of the process → first answer, from the disk",
        "under 2 s",
        (
            "services",
            "Nacos refuses: listening",
            "first answer to *",
            "to one name",
            "Nacos is silent: listening",
            "first answer to *",
            "to one name",
        ),
    )
    for services in scale.sizes:
        with tempfile.TemporaryDirectory() as home:
            restarts = _Restarts(Path(home), services)
            restarts.run(_EVERYTHING, silent=False)  # writes the bytecode
            row = [number(services)]
            for silent in (False, True):
                everything = [restarts.run(_EVERYTHING, silent=silent) for _ in range(_RUNS)]
                one = [restarts.run(_ONE, silent=silent) for _ in range(_RUNS)]
                listening, answer = zip(*everything, strict=True)
                row += [time(Spread.of(listening)), time(Spread.of(answer))]
                row.append(time(Spread.of(seconds for _, seconds in one)))
        table.rows.append(row)
    table.notes += [
        "`grayplane serve` as a new process each time, its bytecode on the disk, as after an installation.",
        "A Nacos that refuses has nobody on its ports; a silent one takes connections and says nothing.",
    ]
    return table


class _Restarts:
    """Starts of Grayplane with the same services on the disk, in a directory of its own."""

    def __init__(self, home: Path, services: int) -> None:
        self._home = home
        self._port = _free_nacos_port()
        self._nacos = f"127.0.0.1:{self._port}"
        saved = {service.id: SavedService("", service) for service in map(compiled, range(services))}
        settings = Settings(source="nacos", nacos=Nacos(server=self._nacos), state_dir=home)
        SnapshotStore(snapshot_path(settings), CompiledService).save(Snapshot(services=dict(saved)))

    def run(self, names: Sequence[str], *, silent: bool) -> tuple[float, float]:
        """Start it; return the seconds until it listens and until a client has its first answer."""
        xds = free_port()
        with ExitStack() as stack:
            if silent:
                for port in (self._port, self._port + GRPC_PORT_OFFSET):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            start = perf_counter()
            process = stack.enter_context(self._serving(xds))
            _connect(xds, process)
            listening = perf_counter() - start
            _first_answer(xds, names)
            return listening, perf_counter() - start

    @contextmanager
    def _serving(self, xds: int) -> "Iterator[subprocess.Popen[bytes]]":
        command = [sys.executable, "-m", "xds", "serve", "--nacos", self._nacos, "--xds-port", str(xds)]
        settings = {"http.port": 0, "state_dir": self._home, "log.format": "json"}
        for path, value in settings.items():
            command += ["--set", f"{path}={value}"]
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(self._home / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, cwd=Path(__file__).parent.parent
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _connect(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens: a gRPC client that was refused would wait a second to try again."""
    give_up = perf_counter() + _LIMIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or perf_counter() > give_up:
                raise BenchError(f"{process.args!r} does not listen") from None
            clock.sleep(_POLL)
        else:
            return


def _first_answer(port: int, names: Sequence[str]) -> None:
    request = DeltaDiscoveryRequest(
        node=Node(id="bench", cluster=workload.GROUP), type_url=CLUSTER, resource_names_subscribe=list(names)
    )
    answered = threading.Event()

    def requests() -> Iterator[bytes]:
        yield encode(request)
        answered.wait(_LIMIT)

    with grpc.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(_METHOD)
        answer = next(call(requests(), timeout=_LIMIT))
        answered.set()
    assert answer


def _free_nacos_port() -> int:
    """Return a port of which its own and that of Nacos's gRPC are free."""
    while True:
        port = free_port()
        try:
            socket.create_server(("127.0.0.1", port + GRPC_PORT_OFFSET)).close()
        except OSError:
            continue
        return port
