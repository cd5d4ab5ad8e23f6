"""A process that the demo runs: started with a log of its own, and gone when the demo is."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from xds.demo.errors import DemoError

_LOG_LINES_SHOWN = 15
_PATIENCE = 5.0  # seconds that a process gets to end by itself

_PR_SET_PDEATHSIG = 1  # Linux: prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """One process in a session of its own: a terminal's Ctrl-C reaches the demo alone, which stops it."""

    def __init__(
        self,
        name: str,
        log: Path,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        # The process that runs; None before ``start``. Written by ``start``.
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, with an empty log."""
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_end_with_parent if _libc is not None else None,
            )

    async def watch(self) -> None:
        """Raise ``DemoError`` when it ends, which it should not before it is stopped."""
        assert self._process is not None
        status = await self._process.wait()
        how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
        raise DemoError(f"{self.name} ended {how}; the end of its log, {self.log}:", *self._log_end())

    async def stop(self) -> None:
        """Ask it to end; make it end when it does not."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _PATIENCE)
        self._signal(signal.SIGKILL)  # also what it may have left behind
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            os.killpg(self._process.pid, number)

    def _log_end(self) -> list[str]:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [f"  {line}" for line in lines[-_LOG_LINES_SHOWN:]] or ["  (it said nothing)"]


def _end_with_parent() -> None:
    """Have Linux end this process when the demo dies without a chance to stop it."""
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
