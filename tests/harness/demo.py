"""`grayplane demo` as a user runs it, for as long as a test needs it."""

import asyncio
import os
import pty
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from tests.harness.http import Client
from tests.harness.ports import free_ports

UP = "Everything runs."


class Demo:
    """A demo in ``directory`` on free ports.

    With ``terminal`` it believes to be on a terminal. Leaving kills whatever is left of it.
    """

    def __init__(
        self,
        directory: Path,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        terminal: bool = False,
    ) -> None:
        self.directory = directory
        self.output_file = directory / "output"
        self.edge_port, self.xds_port, self.http_port, self.admin_port, *self.sample_ports = free_ports(7)
        self._flags = flags
        self._environment = environment or {}
        self._terminal = terminal

    async def __aenter__(self) -> Self:
        command = [
            *(sys.executable, "-m", "xds", "demo", "--directory", str(self.directory / "demo")),
            *("--edge-port", str(self.edge_port), "--xds-port", str(self.xds_port)),
            *("--http-port", str(self.http_port)),
            *("--admin-port", str(self.admin_port), "--sample-ports", ",".join(map(str, self.sample_ports))),
            *self._flags,
        ]
        environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm", **self._environment}
        self.output_file.touch()
        if self._terminal:
            self._start_on_a_terminal(command, environment)
        else:
            with self.output_file.open("wb") as output:
                self.process = psutil.Popen(command, stdout=output, stderr=output, env=environment)
        self._started: set[psutil.Process] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in {self.process, *self.descendants()}:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await self.ended()
        if hasattr(self, "_copying"):
            await self._copying

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    @property
    def rules(self) -> Path:
        """Where its rules are."""
        return self.directory / "demo" / "rules"

    def client(self) -> Client:
        """Return a client of its edge."""
        return Client(self.edge_port)

    async def until_printed(self, text: str, *, since: int = 0) -> None:
        """Return when it has printed a text, after so many characters of output; fail if it ends before."""
        while text not in self.output[since:]:
            if not self.process.is_running() or self.process.status() == psutil.STATUS_ZOMBIE:
                raise AssertionError(f"the demo ended without printing {text!r}:\n{self.output}")
            await asyncio.sleep(0.05)
        self.descendants()

    def descendants(self) -> set[psutil.Process]:
        """Return every process that it was ever seen to have started."""
        with suppress(psutil.NoSuchProcess):
            self._started.update(self.process.children(recursive=True))
        return self._started

    async def ended(self) -> int:
        """Return its exit status when it has ended."""
        return await asyncio.to_thread(self.process.wait)

    async def nothing_left(self) -> None:
        """Return when none of its processes runs any more."""
        await asyncio.to_thread(psutil.wait_procs, self._started)

    def _start_on_a_terminal(self, command: list[str], environment: Mapping[str, str]) -> None:
        terminal, end = pty.openpty()
        self.process = psutil.Popen(
            command, stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True
        )
        os.close(end)
        self._copying = asyncio.ensure_future(asyncio.to_thread(_copy, terminal, self.output_file))


def _copy(terminal: int, file: Path) -> None:
    """Write what comes out of a terminal to a file, until the last program on it has ended."""
    with file.open("wb", buffering=0) as output, suppress(OSError):  # Linux's way to say that it has
        while chunk := os.read(terminal, 65536):
            output.write(chunk)
    os.close(terminal)
