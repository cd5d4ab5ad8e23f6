"""A real gRPC client of some language, driven line by line.

Each line to the client is one call, as JSON: ``id``, ``method`` (``/package.Service/Method``), ``metadata``
(a list of name and value), ``timeout`` (seconds). Each line from it is the end of one, in whatever order:
``id``, ``code`` (gRPC's number), ``message``, ``body`` (the response as text). Calls run beside each other.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from tests.clients.build import Language, command

METHOD = "/sample.Greeter/Greet"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended. ``version`` is what the server that answered said it is, '' for a failed call."""

    code: int
    message: str
    version: str

    @property
    def ok(self) -> bool:
        return self.code == 0


class GrpcClient:
    """A process with one channel to ``xds:///<service>``, configured by a bootstrap."""

    def __init__(self, language: Language, service: str, bootstrap: str) -> None:
        self._command = (*command(language), f"xds:///{service}")
        self._environment = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": bootstrap}
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=sys.stderr,
            env=self._environment,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def call(
        self,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        *,
        deadline: float = 10.0,
        method: str = METHOD,
    ) -> Answer:
        """Make a call and wait for its end."""
        assert self._process.stdin
        number = next(self._ids)
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        line = {"id": number, "method": method, "metadata": pairs, "timeout": deadline}
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        return await self._waiting[number]

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            ended = json.loads(line)
            self._waiting.pop(ended["id"]).set_result(Answer(ended["code"], ended["message"], ended["body"]))
        for waiting in self._waiting.values():
            waiting.set_exception(ConnectionError("the client ended"))
