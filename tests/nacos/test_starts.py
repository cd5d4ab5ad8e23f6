"""Starts of Grayplane while its Nacos is away."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import until
from tests.harness.http import Client
from tests.nacos.outage import Outage, outage_world, until_serving_from, until_trouble
from tests.nacos.world import until_answered

pytestmark = pytest.mark.outage


@pytest.fixture
async def outage(tmp_path: Path) -> AsyncIterator[Outage]:
    async with outage_world(tmp_path) as world:
        yield world


async def test_with_a_snapshot_it_serves_the_last_known_good(outage: Outage) -> None:
    outage.nacos.stop(signal.SIGKILL)
    await outage.grayplane.stop()
    await outage.grayplane.launch()
    await until_trouble(outage.grayplane, "cannot be reached")
    await until_serving_from(outage.grayplane, "last known good")
    said = await outage.grayplane.ready()
    assert (said["ready"], said["source"]["servers"]) == (True, [])
    # A proxy that starts now gets everything, too.
    bootstrap = outage.grayplane.bootstrap("edge")
    await outage.world.until("v2")
    async with EnvoyProcess(bootstrap) as another:
        assert "reviews|gray" in str(await another.config_dump())
    await asyncio.to_thread(outage.nacos.start)
    await outage.edit("v1")
    await outage.served("v1")
    await outage.until_well()


async def test_without_a_snapshot_it_says_why_and_envoy_keeps_what_it_has(
    outage: Outage, tmp_path: Path
) -> None:
    outage.nacos.stop(signal.SIGKILL)
    await outage.grayplane.kill()
    shutil.rmtree(tmp_path / "grayplane" / "state")
    await outage.grayplane.launch()
    await until_trouble(outage.grayplane, "cannot be reached")
    said = await outage.grayplane.ready()
    assert (said["ready"], said["serving_from"]) == (False, "nothing yet")
    assert "cannot be reached on its gRPC port" in said["trouble"]
    await asyncio.sleep(5)
    await outage.world.until("v2")
    await asyncio.to_thread(outage.nacos.start)
    await outage.edit("v1")
    await outage.served("v1")
    await outage.until_well()


async def test_grayplane_first_then_envoy_then_nacos(outage: Outage, tmp_path: Path) -> None:
    """As after a power cut, and Nacos is the last to be up."""
    outage.nacos.stop(signal.SIGKILL)
    await outage.grayplane.kill()
    shutil.rmtree(tmp_path / "grayplane" / "state")
    await outage.grayplane.launch()
    await until_trouble(outage.grayplane, "cannot be reached")
    bootstrap = outage.grayplane.bootstrap("edge")
    bootstrap["node"]["id"] = "edge-2"
    async with EnvoyProcess(bootstrap, ready=False) as envoy:
        await asyncio.to_thread(outage.nacos.start)

        async def live() -> bool:
            return "reviews|gray" in str(await envoy.config_dump())

        await until(live)
        async with Client(outage.grayplane.edge_port) as client:
            await until_answered(client, "v2")
    await outage.until_well()
