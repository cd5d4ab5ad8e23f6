"""A Grayplane process on the file source, for as long as a test needs it."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from tests.harness import PATIENCE
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_ports
from xds.bootstrap import BootstrapKind, Values, bootstrap


class Grayplane:
    """``grayplane serve`` on free ports, with rules and services in directories of its own.

    It may be killed and started again; directories, ports and the kept state stay. ``command`` is what runs
    it, by default the installed program.
    """

    def __init__(
        self,
        home: Path,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self._command = command or (str(Path(sys.executable).with_name("grayplane")),)
        self._environment = {**os.environ, **(environment or {})}
        self.rules = home / "rules"
        self.services = home / "services"
        self._log_path = home / "grayplane.log"
        for directory in (self.rules, self.services):
            directory.mkdir()
        # How its HTTP port is asked, if by TLS. Written by tests.
        self.http_tls: ssl.SSLContext | None = None
        self.xds_port, self.http_port, self.edge_port, self.outbound_port, self.inbound_port = free_ports(5)
        self._flags = (
            *("--rules", str(self.rules), "--services", str(self.services)),
            *("--xds-port", str(self.xds_port), "--set", f"http.port={self.http_port}"),
            *("--set", f"edge.port={self.edge_port}"),
            *("--set", f"sidecar.outbound_port={self.outbound_port}"),
            *("--set", f"sidecar.inbound_port={self.inbound_port}"),
            *("--set", f"state_dir={home / 'state'}", "--set", "log.format=json", "--set", "drain.seconds=1"),
            *flags,
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.kill()
        if kind is not None and self._log_path.exists():
            sys.stderr.write(f"---- log of Grayplane\n{self._log_path.read_text()}\n----\n")

    def rule(self, document: str, content: Any) -> None:
        """Write a rule document: text as it is, anything else as YAML."""
        self._write(self.rules / document, content)

    def instances(self, service: str, *upstreams: Upstream) -> None:
        """Write the instances of a service, labelled with their versions."""
        self.listed(
            service,
            [
                {"address": "127.0.0.1", "port": upstream.port, "metadata": {"version": upstream.version}}
                for upstream in upstreams
            ],
        )

    def listed(self, service: str, instances: list[dict[str, Any]]) -> None:
        """Write the instances of a service as they are listed in its file."""
        self._write(self.services / f"{service}.yaml", instances)

    def set(self, path: str, value: str) -> None:
        """Change a setting, from the next start on."""
        self._flags = (*self._flags, "--set", f"{path}={value}")

    def set_variable(self, name: str, value: str) -> None:
        """Change a variable of the environment, from the next start on."""
        self._environment[name] = value

    async def ready(self) -> dict[str, Any]:
        """Return what /ready says."""
        async with Client(self.http_port, tls=self.http_tls) as http:
            said: dict[str, Any] = (await http.get("localhost", "/ready")).json()
        return said

    def warnings(self, seen: int = 0) -> list[str]:
        """Return what was logged as a warning or worse, after the first ``seen`` entries."""
        return [
            f"{entry['event']}: {entry.get('reason', '')}"
            for entry in self.log()[seen:]
            if entry.get("level") not in {"debug", "info"}
        ]

    async def start(self) -> None:
        """Start the process and wait until it serves."""
        seen = len(self.log())
        await self.launch()
        await self.until_logged(lambda entry: entry["event"] == "in step with the source", seen)

    async def launch(self) -> None:
        """Start the process."""
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                "serve",
                *self._flags,
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    @property
    def process_id(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def kill(self) -> None:
        """Kill the process as ``kill -9`` does."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def supervise(self) -> None:
        """Start the process again whenever it ends, as a supervisor does, until cancelled."""
        while True:
            await self._process.wait()
            await self.launch()

    async def stop(self) -> int:
        """Stop the process as an operator does; return its exit code."""
        self._process.terminate()
        return await self._process.wait()

    def log(self) -> list[dict[str, Any]]:
        """Return what was logged so far, one mapping an entry."""
        if not self._log_path.exists():
            return []
        lines = self._log_path.read_text().splitlines()
        return [json.loads(line) if line.startswith("{") else {"event": line} for line in lines]

    async def until_logged(self, holds: Callable[[dict[str, Any]], object], seen: int = 0) -> dict[str, Any]:
        """Wait for an entry of the log, after the first ``seen``."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for entry in self.log()[seen:]:
                    if holds(entry):
                        return entry
                assert self._process.returncode is None, f"Grayplane ended: {self.log()[-5:]}"
                await asyncio.sleep(0.05)

    def use(self, environment: Mapping[str, str]) -> None:
        """Change variables of the environment, from the next start on."""
        self._environment |= environment

    def bootstrap(self, role: str, *, zone: str | None = None, **metadata: Any) -> dict[str, Any]:
        """Return the bootstrap that is shipped for a role, with this process and a free admin port."""
        values = Values(zone=zone, xds=("127.0.0.1", self.xds_port), admin_port=0)
        filled: dict[str, Any] = yaml.safe_load(bootstrap(BootstrapKind(role), values))
        filled["node"]["metadata"].update(metadata)
        return filled

    @staticmethod
    def _write(path: Path, content: Any) -> None:
        """Write as careful editors do: all at once."""
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        beside.rename(path)


async def until(holds: Callable[[], Any]) -> None:
    """Wait until an awaitable condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.05)
