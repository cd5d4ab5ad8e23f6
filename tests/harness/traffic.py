"""Requests that go on while something else happens."""

import asyncio
from collections import Counter
from typing import Self

from tests.harness.http import Client

_PAUSE = 0.01


class Traffic:
    """Requests to a port, one after the other, for as long as ``async with`` lasts; what failed is kept."""

    def __init__(self, port: int, host: str) -> None:
        self._port = port
        self._host = host
        self.answered = 0
        self.failed = Counter[str]()
        """How often a request failed, by status or error."""

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.result()

    async def _run(self) -> None:
        while True:
            async with Client(self._port) as client:
                await self._ask(client)

    async def _ask(self, client: Client) -> None:
        """Send requests until the connection fails."""
        while True:
            await asyncio.sleep(_PAUSE)
            try:
                status = (await client.get(self._host)).status
            except OSError as error:
                self.failed[type(error).__name__] += 1
                return
            if status == 200:
                self.answered += 1
            else:
                self.failed[str(status)] += 1
