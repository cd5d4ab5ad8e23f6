"""Each outage of a real Nacos while requests go through a real Envoy: none fails, and no edit is lost."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.conftest import Figures
from tests.nacos.outage import SOON, Outage, outage_world

pytestmark = pytest.mark.outage


@pytest.fixture
async def outage(tmp_path: Path) -> AsyncIterator[Outage]:
    async with outage_world(tmp_path) as world:
        yield world


async def stopped(outage: Outage) -> None:
    """Stopped and started again with its data."""
    outage.nacos.stop(signal.SIGTERM)
    await asyncio.sleep(3)
    await asyncio.to_thread(outage.nacos.start)
    await outage.edit("v1")


async def killed(outage: Outage) -> None:
    """Killed and started again with its data."""
    outage.nacos.stop(signal.SIGKILL)
    await asyncio.sleep(3)
    await asyncio.to_thread(outage.nacos.start)
    await outage.edit("v1")


async def hung(outage: Outage) -> None:
    """Stopped in the middle of everything for a minute, with its connections open."""
    outage.nacos.send(signal.SIGSTOP)
    await asyncio.sleep(60)
    outage.nacos.send(signal.SIGCONT)
    await outage.edit("v1")


async def port_closed(outage: Outage) -> None:
    """Connections are reset and refused."""
    await outage.proxy.cut()
    await asyncio.sleep(1)
    await outage.edit("v1")
    await asyncio.sleep(4)
    await outage.proxy.start()


async def half_open(outage: Outage) -> None:
    """Connections stay open and new ones are taken, and nothing passes."""
    outage.proxy.hang()
    await asyncio.sleep(1)
    await outage.edit("v1")
    await asyncio.sleep(14)
    outage.proxy.flow()


async def grpc_hung(outage: Outage) -> None:
    """GRPC is silent while HTTP is well."""
    outage.proxy.hang(outage.nacos.port + 1000)
    await asyncio.sleep(1)
    await outage.edit("v1")
    await asyncio.sleep(14)
    outage.proxy.flow()


async def slow(outage: Outage) -> None:
    """Five seconds a call."""
    outage.proxy.delay = 5.0
    await asyncio.sleep(1)
    await outage.edit("v1")
    await asyncio.sleep(14)
    outage.proxy.delay = 0.0


OUTAGES: list[Callable[[Outage], Awaitable[None]]] = [
    hung,  # The longest first: they run side by side.
    half_open,
    grpc_hung,
    slow,
    port_closed,
    stopped,
    killed,
]


@pytest.mark.parametrize("happens", OUTAGES, ids=lambda each: each.__name__)
async def test_what_changed_meanwhile_is_served_soon_after(
    outage: Outage, happens: Callable[[Outage], Awaitable[None]], figure: Figures
) -> None:
    seen = len(outage.grayplane.log())
    await happens(outage)
    over = time.monotonic()
    figure("edit served after (s)", await outage.served("v1"))
    await outage.until_well()
    well = time.monotonic() - over
    figure("well after (s)", well)
    await outage.edit("v2")
    await outage.served("v2")
    assert well < SOON
    warnings = outage.grayplane.warnings(seen)
    figure("warnings", len(warnings))
    assert len(warnings) == 1, warnings
    assert warnings[0].startswith("source in trouble: what it last said stays in force: Nacos ")


async def test_edits_arrive_while_http_hangs_and_grpc_is_well(outage: Outage) -> None:
    seen = len(outage.grayplane.log())
    outage.proxy.hang(outage.nacos.port)
    await asyncio.sleep(5)
    await outage.edit("v1")
    await outage.served("v1")
    outage.proxy.flow()
    await outage.until_well()
    await outage.edit("v2")
    await outage.served("v2")
    [warning] = outage.grayplane.warnings(seen)
    assert "does not answer within 3 s" in warning


async def test_nothing_is_lost_when_nacos_lost_its_data(outage: Outage) -> None:
    """Started again with an empty disk; services register again, and rules are restored later."""
    outage.nacos.stop(signal.SIGKILL)
    outage.nacos.wipe()
    await asyncio.to_thread(outage.nacos.start)
    await asyncio.sleep(5)
    await outage.world.operator.create_namespace()
    for upstream in (outage.world.v1, outage.world.v2):
        await outage.world.register(upstream)
    assert "came back without any document" in str((await outage.grayplane.ready())["trouble"])
    await outage.edit("v1")
    await outage.served("v1")
    await outage.until_well()
