"""A staged push goes on where it was after Grayplane was killed."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.harness import PATIENCE
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Upstream

STAGES = """
groups: {edge: {stages: [{proxies: 1, soak: 1h}, {proxies: 100%}]}}
xds: {processes: 2}
"""
OLD, NEW = "reviews.example.com", "new.example.com"


def edge(grayplane: Grayplane, name: str) -> EnvoyProcess:
    bootstrap = grayplane.bootstrap("edge")
    bootstrap["node"]["id"] = name
    return EnvoyProcess(bootstrap, ready=False)


async def has(envoy: EnvoyProcess, text: str) -> bool:
    return text in await envoy.admin("/config_dump?include_eds")


async def status(grayplane: Grayplane) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        at = f"http://127.0.0.1:{grayplane.http_port}/api/v1/documents/reviews.yaml"
        found: dict[str, Any] = (await client.get(at)).json()
        return found


async def test_after_a_kill_later_stages_keep_the_version_before(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(STAGES)
    grayplane = Grayplane(tmp_path, "--config", str(settings))
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream("reviews", "v1"))
        grayplane.instances("reviews", upstream)
        grayplane.rule("reviews.yaml", {"hosts": [OLD]})
        await stack.enter_async_context(grayplane)
        envoys = []
        for name in ("edge-1", "edge-2"):
            envoys.append(await stack.enter_async_context(edge(grayplane, name)))
            await until(lambda: has(envoys[-1], OLD))
        first, second = envoys
        grayplane.rule("reviews.yaml", {"hosts": [OLD, NEW]})
        await until(lambda: has(first, NEW))
        assert not await has(second, NEW)
        await grayplane.kill()  # at once: what is pushed is on disk before any proxy has it
        await grayplane.start()
        await until(lambda: _connected(grayplane, 2))
        # Instances reach all, so what comes after them in the second proxy is what it has after the restart.
        other = await stack.enter_async_context(Upstream("reviews", "v1"))
        grayplane.instances("reviews", upstream, other)
        for envoy in envoys:
            await until(lambda envoy=envoy: has(envoy, str(other.port)))  # type: ignore[misc]
        assert await has(first, NEW)
        assert not await has(second, NEW)
        # A proxy that is new is in the last stage, whoever connects first after a restart.
        third = await stack.enter_async_context(edge(grayplane, "edge-3"))
        await until(lambda: has(third, OLD))
        assert not await has(third, NEW)
        assert (await status(grayplane))["state"] == "Programming"
        # A next edit begins a push of its own, from what all have.
        grayplane.rule("reviews.yaml", {"hosts": [OLD, NEW, "newer.example.com"]})
        await until(lambda: has(first, "newer.example.com"))
        assert not await has(second, NEW)
        # Taken back, all have the same.
        grayplane.rule("reviews.yaml", {"hosts": [OLD]})
        await until(lambda: _lacks(first, NEW))
        assert not await has(second, NEW)


async def _connected(grayplane: Grayplane, count: int) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        metrics = (await client.get(f"http://127.0.0.1:{grayplane.http_port}/metrics")).text
    return f'grayplane_streams{{role="edge"}} {count}.0' in metrics


async def _lacks(envoy: EnvoyProcess, text: str) -> bool:
    return not await has(envoy, text)
