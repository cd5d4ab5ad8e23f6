"""A Nacos of a test's own behind a TCP proxy, Grayplane, an Envoy edge and requests that go on."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.grayplane import Grayplane, until
from tests.harness.nacos import RNacos, port_pair, rnacos_process
from tests.harness.nacos_console import console
from tests.harness.tcp_proxy import TcpProxy, tcp_proxy
from tests.harness.traffic import Traffic
from tests.nacos.world import HOST, World, reviews_world, rule

NAMESPACE = "outage"

SOON = 10.0
"""Seconds after an outage within which what changed meanwhile is served. The aim is 2, on a quiet machine; it
was 29 when a failed call was taken for load."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Everything that an outage is tried with. ``proxy`` is on the way from Grayplane to Nacos."""

    nacos: RNacos
    proxy: TcpProxy
    grayplane: Grayplane
    world: World
    traffic: Traffic

    async def edit(self, version: str) -> None:
        """Have all requests answered by a version."""
        await self.world.operator.publish("reviews.yaml", rule({"v1": 0, "v2": 100}[version]))

    async def served(self, version: str) -> float:
        """Wait until all requests are answered by a version; return how long that took, in seconds."""
        began = time.monotonic()
        await self.world.until(version)
        return time.monotonic() - began

    async def until_well(self) -> None:
        """Wait until nothing is wrong any more."""
        await until_well(self.grayplane)


@contextlib.asynccontextmanager
async def outage_world(
    tmp_path: Path, *flags: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Outage]:
    """Start everything; all requests are answered by v2."""
    port = port_pair()
    async with contextlib.AsyncExitStack() as stack:
        nacos = stack.enter_context(rnacos_process(tmp_path / "nacos"))
        target = nacos.port
        proxy = await stack.enter_async_context(
            tcp_proxy("127.0.0.1", {port: target, port + 1000: target + 1000})
        )
        operator = await stack.enter_async_context(console(nacos.server, NAMESPACE))
        home = tmp_path / "grayplane"
        home.mkdir()
        environment = {**nacos.server.environment(NAMESPACE), **(environment or {})}
        world = await stack.enter_async_context(
            reviews_world(home, operator, f"127.0.0.1:{port}", *flags, environment=environment)
        )
        grayplane = world.grayplane
        await operator.publish("reviews.yaml", rule(100))
        await world.until("v2")
        async with Traffic(grayplane.edge_port, HOST) as traffic:
            yield Outage(nacos, proxy, grayplane, world, traffic)
        assert traffic.failed == {}
        assert traffic.answered > 0


async def until_trouble(grayplane: Grayplane, words: str) -> None:
    """Wait until /ready says these words of the source."""
    await _until_ready(grayplane, lambda said: words in (said["trouble"] or ""))


async def until_serving_from(grayplane: Grayplane, standing: str) -> None:
    """Wait until /ready says that proxies are served from the source, the last known good or nothing."""
    await _until_ready(grayplane, lambda said: said["serving_from"] == standing)


async def _until_ready(grayplane: Grayplane, holds: Callable[[dict[str, Any]], bool]) -> None:
    async def does() -> bool:
        try:
            return holds(await grayplane.ready())
        except OSError:  # it does not listen yet
            return False

    await until(does)


async def until_well(grayplane: Grayplane) -> None:
    """Wait until nothing is wrong with the source any more."""
    await _until_ready(grayplane, lambda said: said["trouble"] is None and said["source"]["servers"] != [])
