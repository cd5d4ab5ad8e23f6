"""Two replicas on one real Nacos: one leads, the proxies of the other are heard, and it takes over."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import Console
from tests.nacos.world import HOST, rule


def rollout(*steps: dict[str, Any]) -> str:
    document = yaml.safe_load(rule(5))
    analysis = {"interval": "1s", "minRequests": 5, "successRate": {"min": 90.0}}
    document["rollout"] = {"subset": "gray", "revision": "2", "steps": list(steps), "analysis": analysis}
    return yaml.safe_dump(document)


def entered(replica: Grayplane, weight: float) -> Callable[[], Any]:
    async def holds() -> bool:
        log = replica.log()
        return any(entry["event"] == "rollout: enter" and entry["weight"] == weight for entry in log)

    return holds


async def test_a_follower_s_proxies_are_heard_and_it_takes_over(
    tmp_path: Path, nacos: NacosServer, operator: Console
) -> None:
    environment = nacos.environment(operator.namespace)
    flags = ("--nacos", nacos.address, "--set", "rollouts.report_interval=0.5")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    leader = Grayplane(tmp_path / "one", *flags, environment=environment)
    follower = Grayplane(tmp_path / "two", *flags, environment=environment)
    async with Upstream("reviews", "v1") as v1, Upstream("reviews", "v2") as v2, leader:
        for upstream in (v1, v2):
            await operator.register("reviews", "127.0.0.1", upstream.port, {"version": upstream.version})
        await leader.until_logged(lambda entry: entry["event"] == "rollouts are led by")
        async with (
            follower,
            EnvoyProcess(follower.bootstrap("edge")),
            Client(follower.edge_port) as client,
        ):
            asking = asyncio.create_task(_ask(client))
            await operator.publish(
                "reviews.yaml",
                rollout({"weight": 40, "for": "2s"}, {"weight": 80, "for": "1h"}, {"weight": 100}),
            )
            await until(entered(leader, 40))
            # All requests go through the follower's proxy: without its reports the leader would wait.
            await until(entered(leader, 80))
            assert not await entered(follower, 40)()
            # The leader is killed; the follower takes over and hears its own proxy.
            await leader.kill()
            v2.status = 500
            await follower.until_logged(lambda entry: entry["event"] == "rollout: fail")
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def _ask(client: Client) -> None:
    while True:
        await client.get(HOST)
