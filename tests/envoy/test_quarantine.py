"""What Grayplane accepts and a real Envoy refuses hurts nobody else, and the right document is blamed."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import structlog

from tests.envoy.quarantine_world import World, bad_hosts, holding, rejected, upstream
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import until
from tests.harness.http import Upstream
from xds.settings import Stage
from xds.status import DocumentState

__all__ = ["bad_hosts", "upstream"]  # fixtures


@pytest.mark.parametrize("routes", ["shared", "scoped"])
@pytest.mark.parametrize("bad", ["bad-route", "bad-cluster"])
async def test_a_bad_version_is_quarantined_and_the_last_acknowledged_one_served(
    tmp_path: Path, upstream: Upstream, routes: str, bad: str
) -> None:
    world = World(tmp_path, routes)
    world.texts = {name: f"hosts: [{name}.example.com]" for name in ("a", "b", "c")}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running(upstream))
        await stack.enter_async_context(world.envoy())
        for name in "abc":
            await world.until_served(f"{name}.example.com")
            await world.until_state(name, DocumentState.PROGRAMMED)
        world.edit("a", "a.example.com", f"{bad}.example.com")
        status = await world.until_state("a", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.node == "edge-1"
        assert status.quarantine.served is not None
        assert status.quarantine.reason
        world.edit("b", "b.example.com", "new.example.com")
        await world.until_served("new.example.com")
        await world.until_served("a.example.com")
        await world.until_state("b", DocumentState.PROGRAMMED)
        world.edit("a", "a.example.com", "good.example.com")
        await world.until_served("good.example.com")
        await world.until_state("a", DocumentState.PROGRAMMED)


async def test_of_two_broken_documents_each_is_blamed_and_the_others_go_on(
    tmp_path: Path, upstream: Upstream
) -> None:
    world = World(tmp_path, "shared")
    world.texts = {f"s{number}": f"hosts: [s{number}.example.com]" for number in range(12)}
    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(world.running(upstream))
            await stack.enter_async_context(world.envoy())
            await world.until_served("s0.example.com")
            await world.until_state("s11", DocumentState.PROGRAMMED)
            for number in range(12):
                bad = "bad-route." if number in {3, 7} else "new."
                world.edit(f"s{number}", f"{bad}s{number}.example.com", f"s{number}.example.com")
            for number in range(12):
                state = DocumentState.QUARANTINED if number in {3, 7} else DocumentState.PROGRAMMED
                await world.until_state(f"s{number}", state)
                await world.until_served(f"s{number}.example.com")
                await world.until_served(f"new.s{number}.example.com", 404 if number in {3, 7} else 200)
    quarantined = [entry for entry in logs if entry["event"].startswith("quarantined")]
    assert sorted(entry["documents"] for entry in quarantined) == [["s3.yaml"], ["s7.yaml"]]


async def test_a_new_stream_that_begins_with_a_bad_version_has_the_others(
    tmp_path: Path, upstream: Upstream
) -> None:
    world = World(tmp_path, "shared")
    world.texts = {f"s{number}": f"hosts: [s{number}.example.com]" for number in range(9)}
    world.texts["s4"] = "hosts: [bad-route.example.com]"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running(upstream))
        await stack.enter_async_context(world.envoy())
        for number in range(9):
            if number != 4:
                await world.until_served(f"s{number}.example.com")
        status = await world.until_state("s4", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.served is None


async def test_a_quarantine_survives_restarts_of_envoy_and_of_grayplane(
    tmp_path: Path, upstream: Upstream
) -> None:
    world = World(tmp_path, "shared")
    world.texts = {name: f"hosts: [{name}.example.com]" for name in ("a", "b")}
    async with world.running(upstream):
        async with world.envoy():
            await world.until_served("a.example.com")
            await world.until_state("a", DocumentState.PROGRAMMED)
            world.edit("a", "a.example.com", "bad-route.example.com")
            await world.until_state("a", DocumentState.QUARANTINED)
        async with world.envoy("edge-2") as envoy:
            await world.until_served("a.example.com")
            assert await rejected(envoy) == 0
    async with world.running(upstream), world.envoy("edge-3") as envoy:
        await world.until_served("a.example.com")
        await world.until_served("b.example.com")
        status = await world.until_state("a", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.node == "edge-1"
        assert await rejected(envoy) == 0


async def test_a_change_that_the_first_proxy_rejects_never_reaches_the_second(
    tmp_path: Path, upstream: Upstream
) -> None:
    # Both proxies listen on the same port of this machine, so requests say nothing of either.
    world = World(tmp_path, "scoped", Stage(proxies="1"), Stage(proxies="100%"))
    world.texts = {"a": "hosts: [a.example.com]"}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running(upstream))
        first = await stack.enter_async_context(world.envoy("edge-1"))
        await world.until_state("a", DocumentState.PROGRAMMED)
        second = await stack.enter_async_context(world.envoy("edge-2"))
        await until(holding(lambda: world.status("a").proxies.programmed == 2))
        updates = await _updates(second)
        world.edit("a", "a.example.com", "bad-route.example.com")
        status = await world.until_state("a", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.node == "edge-1"
        assert await rejected(first) > 0
        assert await _updates(second) == updates
        world.edit("a", "a.example.com", "good.example.com")
        await until(holding(lambda: world.status("a").proxies.programmed == 2))
        await world.until_state("a", DocumentState.PROGRAMMED)

        async def arrived() -> bool:
            return await _updates(second) > updates

        await until(arrived)
        assert await rejected(second) == 0


async def _updates(envoy: EnvoyProcess) -> int:
    return sum((await envoy.stats("scoped_rds.*update_success$|srds.*update_success$")).values())
