"""The processes of a benchmark: servers, and the clients that load them."""

import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench import golang
from bench.corpus import Corpus
from xds.type_urls import ROUTE

_SAMPLED = 0.02
"""Seconds between two looks at a process's memory."""


_SHOWN = 2_000
"""Characters shown of what a process wrote before something failed."""


class BenchError(Exception):
    """Something did not do what it was started for."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that can be measured: its name, and the command that starts it with a corpus."""

    name: str
    command: Callable[[Corpus], list[str]]


def _python(module: str) -> Callable[[Corpus], list[str]]:
    return lambda corpus: [sys.executable, "-m", module, str(corpus.ours)]


def _go(cache: str) -> Callable[[Corpus], list[str]]:
    return lambda corpus: [str(golang.binary()), "serve", "-cache", cache, "-corpus", str(corpus.peers)]


GRAYPLANE = Contender("Grayplane", _python("bench.library_server"))
PLAIN = Contender("grpc.aio alone", _python("bench.plain_server"))
LINEAR = Contender("LinearCache", _go("linear"))
SNAPSHOT = Contender("SnapshotCache", _go("snapshot"))


def whole(*arguments: object) -> list[str]:
    """Return the command line of all of Grayplane but its sources (``bench.pipeline_server``)."""
    return [sys.executable, "-m", "bench.pipeline_server", *map(str, arguments)]


class Server:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"a server ended with status {process.wait()}: {process.args!r}")
        xds, control = map(int, line.split())
        self.xds = xds
        self.control = control
        self._process = psutil.Process(process.pid)

    @property
    def memory(self) -> int:
        """Resident bytes now."""
        return int(self._process.memory_info().rss)

    @property
    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def children(self) -> list[psutil.Process]:
        """The processes that it has started."""
        return list(self._process.children())

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._process.kill()
        self._process.wait()

    def tell(self, line: str) -> str:
        """Send a line to the control port; return the answer."""
        with socket.create_connection(("127.0.0.1", self.control)) as connection:
            connection.sendall(f"{line}\n".encode())
            answer = connection.makefile().readline().rstrip("\n")
        if answer.startswith("error"):
            raise BenchError(f"{line}: {answer}")
        return answer

    @contextmanager
    def peak(self) -> Iterator[list[int]]:
        """Watch the memory for the length of a block; the list holds the highest value after it."""
        highest, over = [self.memory], threading.Event()

        def watch() -> None:
            while not over.wait(_SAMPLED):
                highest[0] = max(highest[0], self.memory)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield highest
        finally:
            over.set()
            thread.join()


@contextmanager
def running(command: list[str]) -> Iterator[Server]:
    """Run a server for the length of a block. It ends with its standard input, so also when we are killed."""
    with _process(command) as process:
        yield Server(process)


class Answer(msgspec.Struct):
    """What the load client found (``peer/load.go``); ``delays`` are in order of size, in seconds."""

    error: str = ""
    seconds: float = 0.0
    delays: list[float] = []
    rounds: list["Answer"] = []
    bytes: int = 0
    messages: int = 0
    reopened: int = 0


class Load:
    """The load client, connected to the control port of a server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._decode = msgspec.json.Decoder(Answer).decode

    def connect(self, resources: Corpus, streams: int, *, everything: bool, parallel: int = 16) -> None:
        """Open delta streams, each on a connection of its own and for one route or for all there are."""
        self.ask("connect", **subscription(resources, streams, everything=everything, parallel=parallel))

    def ask(self, do: str, **what: Any) -> Answer:
        """Have it do something (``peer/load.go``); raise ``BenchError`` if it fails."""
        assert self._process.stdin
        assert self._process.stdout
        print(msgspec.json.encode({"do": do, **what}).decode(), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"the load client ended with status {self._process.wait()}")
        answer = self._decode(line)
        if answer.error:
            raise BenchError(f"{do}: {answer.error}")
        return answer


def subscription(resources: Corpus, streams: int, *, everything: bool, parallel: int = 16) -> dict[str, Any]:
    """Say what ``Load.connect`` asks for."""
    return {
        "delta": True,
        "type": ROUTE,
        "names": ["*"] if everything else [resources.edited],
        "streams": streams,
        "connections": streams,
        "parallel": parallel,
        "resources": resources.routes if everything else 1,
    }


@contextmanager
def load_of(*servers: Server, through: Sequence[int] = ()) -> Iterator[Load]:
    """Run the load client for the length of a block; ``through`` are ports of balancers before servers."""
    xds = addresses(through or [server.xds for server in servers])
    control = addresses(server.control for server in servers)
    with _process([str(golang.binary()), "load", "-xds", xds, "-control", control]) as process:
        yield Load(process)


def addresses(ports: Iterable[int]) -> str:
    """Write ports of this machine as the Go half reads them."""
    return ",".join(f"127.0.0.1:{port}" for port in ports)


class Balancer:
    """A TCP load balancer (``peer/balance.go``)."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self._read())

    def use(self, ports: Iterable[int]) -> None:
        """Pass new connections on to these ports."""
        self._write(f"backends {addresses(ports)}")

    def counts(self) -> dict[int, int]:
        """Return the open connections by port."""
        self._write("counts")
        counts = msgspec.json.decode(self._read(), type=dict[str, int])
        return {int(address.rpartition(":")[2]): count for address, count in counts.items()}

    def _write(self, line: str) -> None:
        assert self._process.stdin
        print(line, file=self._process.stdin, flush=True)

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"a balancer ended with status {self._process.wait()}")
        return line


@contextmanager
def balancer(ports: Iterable[int]) -> Iterator[Balancer]:
    """Run a balancer before ports of this machine for the length of a block."""
    with _process([str(golang.binary()), "balance"]) as process:
        it = Balancer(process)
        it.use(ports)
        yield it


@contextmanager
def _process(command: list[str]) -> "Iterator[subprocess.Popen[str]]":
    """Run a command; if what happens meanwhile fails, say what the process wrote last."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        try:
            yield process
        except BenchError as error:
            errors.seek(0)
            error.add_note(f"{command!r} wrote last:\n{errors.read()[-_SHOWN:]}")
            raise
        finally:
            process.kill()
            process.communicate()
