"""Runs ``envoy --mode validate``, and finds the services that it refuses."""

import asyncio
import hashlib
import os
import signal
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import structlog

from xds.rules.instance import ServiceId
from xds.views import CompiledService

_log = structlog.get_logger(__name__)

_AT_ONCE = 500
"""Services that are checked in one run; Envoy takes about 1.5 ms for each."""

_RETRY = 60.0
"""Seconds until an Envoy that could not be asked is asked again."""

_PASSED_ON = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""All of the environment that Envoy is given: passwords may be in the rest."""

_REMEMBERED = 20_000
_LONGEST_REASON = 2_000
_OTHER_DISK = "Invalid path: "
"""Envoy says so of a file that is not there. The files that a document names are on the proxies' machines."""


@dataclass(frozen=True, slots=True)
class EnvoyVerdict:
    """What Envoy says of some services: why it refuses them; None if it takes them, or could not be asked."""

    services: tuple[ServiceId, ...]
    reason: str | None = None


class _UnavailableError(Exception):
    """Envoy cannot be asked; the message is for the operator."""


class EnvoyValidator:
    """Checks services with an Envoy binary: one process at a time, many services in each.

    When a run is refused, its services are halved until those at fault are known. Whatever cannot be found
    out is let through: a broken binary must not stop a rollback, and what a proxy rejects is quarantined all
    the same. ``timeout`` is for one run, in seconds.
    """

    def __init__(self, binary: str, timeout: float) -> None:
        self._binary = binary
        self._timeout = timeout
        # What was found of contents, the latest last. Written by ``_remember``.
        self._found: OrderedDict[bytes, str | None] = OrderedDict()
        # Why Envoy could not be asked, and when to try again by the monotonic clock. Written by ``check``.
        self.trouble: str | None = None
        self._retry_at = 0.0
        # How many versions were checked, by what came of it, for metrics. Written by ``check``.
        self.passed, self.refused, self.unchecked = 0, 0, 0
        self.seconds = 0.0
        """How long Envoy ran, all in all."""

    async def check(self, services: Mapping[ServiceId, CompiledService]) -> AsyncIterator[EnvoyVerdict]:
        """Yield verdicts as they are found, one for each service; services of a namespace go together."""
        unknown: dict[str, list[CompiledService]] = {}
        for service in services.values():
            content = _content(service)
            if content in self._found:
                self._found.move_to_end(content)
                yield EnvoyVerdict((service.id,), self._found[content])
            else:
                unknown.setdefault(service.id.namespace, []).append(service)
        for of_namespace in unknown.values():
            ordered = iter(sorted(of_namespace, key=lambda service: service.id))
            while some := list(islice(ordered, _AT_ONCE)):
                async for verdict in self._check_some(some):
                    yield verdict

    async def _check_some(self, services: Sequence[CompiledService]) -> AsyncIterator[EnvoyVerdict]:
        waiting = [list(services)]
        while waiting:
            some = waiting.pop()
            try:
                reason = await self._ask(some)
            except _UnavailableError as error:
                self._tell_trouble(str(error))
                left = [service for part in (some, *waiting) for service in part]
                self.unchecked += len(left)
                yield EnvoyVerdict(tuple(service.id for service in left))
                return
            if reason is not None and len(some) > 1:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
                continue
            yield self._remember(some, reason)

    async def _ask(self, services: Sequence[CompiledService]) -> str | None:
        if time.monotonic() < self._retry_at:
            raise _UnavailableError(self.trouble)
        reason = await self._run(services)
        if reason is not None and len(services) == 1 and (general := await self._run(())) is not None:
            raise _UnavailableError(f"it refuses a configuration without services, too: {general}")
        if self.trouble is not None:
            _log.info("documents are checked by Envoy again")
        self.trouble = None
        return None if reason and reason.startswith(_OTHER_DISK) else reason

    def _remember(self, services: Sequence[CompiledService], reason: str | None) -> EnvoyVerdict:
        self.passed += len(services) if reason is None else 0
        self.refused += reason is not None
        for service in services:
            self._found[_content(service)] = reason
        while len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
        return EnvoyVerdict(tuple(service.id for service in services), reason)

    def _tell_trouble(self, reason: str) -> None:
        if self.trouble is None:
            _log.error(
                "documents are not checked by Envoy before they are pushed",
                reason=reason,
                hint="see the setting validation.envoy",
            )
        if time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + _RETRY
        self.trouble = reason

    async def _run(self, services: Sequence[CompiledService]) -> str | None:
        """Have one bootstrap validated; return why Envoy refuses it, None if it takes it."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="grayplane-") as directory:
            path = Path(directory) / "bootstrap.pb"
            await asyncio.to_thread(_write_bootstrap, path, services)
            try:
                process = await asyncio.create_subprocess_exec(
                    self._binary,
                    *("--mode", "validate", "--config-path", str(path)),
                    *("--log-level", "error", "--log-format", "%v", "--concurrency", "1"),
                    "--disable-hot-restart",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                )
            except OSError as error:
                raise _UnavailableError(f"{self._binary}: {error.strerror}") from error
            try:
                async with asyncio.timeout(self._timeout):
                    _, said = await process.communicate()
            except TimeoutError:
                raise _UnavailableError(f"{self._binary}: no answer within {self._timeout:g} s") from None
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                self.seconds += time.monotonic() - began
            return _reason(process.returncode or 0, said.decode(errors="replace"), str(path))


def _write_bootstrap(path: Path, services: Sequence[CompiledService]) -> None:
    # Its messages take long to import, and only who has an Envoy asked needs them.
    from xds.validation.bootstrap import bootstrap  # noqa: PLC0415

    path.write_bytes(bootstrap(services))


def _reason(code: int, said: str, path: str) -> str | None:
    if code == 0:
        return None
    if code in {-signal.SIGKILL, -signal.SIGTERM}:
        raise _UnavailableError(f"it was killed by signal {-code}")
    if code < 0:
        return f"Envoy crashes on it, by {signal.Signals(-code).name}"
    reason = said.partition(f"error initializing configuration '{path}': ")[2] or said
    return reason.strip()[:_LONGEST_REASON] or f"Envoy ended with status {code}"


def _content(service: CompiledService) -> bytes:
    """Return a digest of what is checked of a service."""
    digest = hashlib.blake2b(service.mesh, digest_size=16)
    digest.update(service.edge or b"")
    versions = [cluster.version for cluster in service.clusters]
    digest.update(repr((service.id, service.mesh_names, sorted(service.gateways), versions)).encode())
    return digest.digest()
