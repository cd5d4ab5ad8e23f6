"""Rules and instances in a real Nacos, with requests through a real Envoy."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.nacos_console import Console

HOST = "reviews.example.com"


def rule(gray: int, *, enabled: bool = True) -> str:
    route = [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}]
    return yaml.safe_dump(
        {
            "enabled": enabled,
            "hosts": [HOST],
            "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
            "baseline": "stable",
            "http": [{"name": "ramp", "route": route}],
        }
    )


class World:
    """Rules and instances in a real Nacos, and an Envoy edge."""

    def __init__(
        self, operator: Console, grayplane: Grayplane, client: Client, v1: Upstream, v2: Upstream
    ) -> None:
        self.operator = operator
        self.grayplane = grayplane
        self.v1 = v1
        self.v2 = v2
        self._client = client

    async def register(self, upstream: Upstream) -> None:
        await self.operator.register(
            upstream.service, "127.0.0.1", upstream.port, {"version": upstream.version}
        )

    async def deregister(self, upstream: Upstream) -> None:
        await self.operator.deregister(upstream.service, "127.0.0.1", upstream.port)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[set[str | int]]:
        """Send requests all the while; give what answered."""
        answers: set[str | int] = set()

        async def ask() -> None:
            async with Client(self._client.port) as client:
                while True:
                    response = await client.get(HOST)
                    answers.add(response.json()["version"] if response.status == 200 else response.status)

        asking = asyncio.create_task(ask())
        try:
            yield answers
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def until(self, answer: str | int, host: str = HOST) -> None:
        """Wait until twenty requests in a row are answered like this."""

        await until_answered(self._client, answer, host)


@asynccontextmanager
async def reviews_world(
    home: Path, operator: Console, address: str, *flags: str, environment: Mapping[str, str]
) -> AsyncIterator[World]:
    """Yield a service of two versions, registered in the namespace of an operator, and what routes to it.

    ``address``: where Grayplane is told that Nacos is; ``environment``: what else it is told.
    """
    async with (
        Upstream("reviews", "v1") as v1,
        Upstream("reviews", "v2") as v2,
        Grayplane(home, "--nacos", address, *flags, environment=environment) as grayplane,
        EnvoyProcess(grayplane.bootstrap("edge")),
        Client(grayplane.edge_port) as client,
    ):
        world = World(operator, grayplane, client, v1, v2)
        await world.register(v1)
        await world.register(v2)
        yield world


async def until_answered(client: Client, answer: str | int, host: str = HOST) -> None:
    """Wait until twenty requests in a row are answered by this version, or with this status."""

    async def holds() -> bool:
        try:
            responses = [await client.get(host) for _ in range(20)]
        except OSError:  # a listener that is not there yet
            return False
        said = {each.json()["version"] if each.status == 200 else each.status for each in responses}
        return said == {answer}

    await until(holds)
