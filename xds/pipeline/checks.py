"""Versions of services that are checked before they are served.

What is in force is served meanwhile. Versions that come while others are checked are checked together next:
of several of one service, the last.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from xds.documents import Origin
from xds.pipeline.served_versions import Version
from xds.rules.instance import ServiceId
from xds.validation import EnvoyVerdict
from xds.views import CompiledService


class Validator(Protocol):
    """Who is asked."""

    def check(self, services: Mapping[ServiceId, CompiledService]) -> AsyncIterator[EnvoyVerdict]:
        """Yield verdicts as they are found, one for each service."""
        ...


class Checks:
    """The versions that wait for a verdict, and the verdicts that wait to be taken.

    ``decided`` is called when there are verdicts to ``take``.
    """

    def __init__(self, validator: Validator, decided: Callable[[], None]) -> None:
        self._validator = validator
        self._decided = decided
        # The version of each service that is not served yet. Written by ``offer``, ``drop`` and ``take``.
        self._waiting: dict[ServiceId, Version] = {}
        # Those of them that are asked about next. Written by ``offer``, ``drop`` and ``run``.
        self._next: set[ServiceId] = set()
        # Set when there is something to ask about. Written by ``offer``, cleared by ``run``.
        self._filled = asyncio.Event()
        # What was found, by service: the version it is about, and why it is refused. Written by ``run``,
        # cleared by ``take``.
        self._verdicts: dict[ServiceId, tuple[tuple[Origin, ...], str | None]] = {}
        # Set while nothing is left to be asked. Written by ``run``, cleared by ``offer``.
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def decisions(self) -> bool:
        """Whether there are verdicts to take."""
        return bool(self._verdicts)

    def offer(self, service: ServiceId, version: Version) -> None:
        """Have a version checked, unless the same waits already with other instances."""
        known = self._waiting.get(service)
        self._waiting[service] = version
        if known is None or known.key != version.key:
            self._next.add(service)
            self._settled.clear()
            self._filled.set()

    def drop(self, service: ServiceId) -> None:
        """Forget the version of a service that waits."""
        self._waiting.pop(service, None)
        self._verdicts.pop(service, None)
        self._next.discard(service)

    def take(self) -> dict[ServiceId, tuple[Version, str | None]]:
        """Return the versions with verdicts: why each is refused, None if it is taken."""
        verdicts, self._verdicts = self._verdicts, {}
        found = {}
        for service, (key, reason) in verdicts.items():
            waiting = self._waiting.get(service)
            if waiting is not None and waiting.key == key:
                found[service] = (self._waiting.pop(service), reason)
        return found

    async def settled(self) -> None:
        """Wait until nothing is left to be asked."""
        await self._settled.wait()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            asked = {service: self._waiting[service] for service in self._next if service in self._waiting}
            self._next.clear()
            compiled = {service: version.compiled for service, version in asked.items()}
            async for verdict in self._validator.check(compiled):
                for service in verdict.services:
                    self._verdicts[service] = (asked[service].key, verdict.reason)
                self._decided()
            if not self._next:
                self._settled.set()
