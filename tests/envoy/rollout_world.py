"""Rollouts on a real Envoy: Grayplane, two versions of a service, and users who ask without pause."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.harness import PATIENCE
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"
LOAD = 8
"""Connections that send requests, each as fast as they are answered."""


def document(**rollout: Any) -> dict[str, Any]:
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {
                "name": "ramp",
                "sticky": {"header": "x-user-id"},
                "route": [{"subset": "stable", "weight": 95}, {"subset": "gray", "weight": 5}],
            }
        ],
        "rollout": {
            "subset": "gray",
            "steps": [{"weight": 20, "for": "2s"}, {"weight": 60, "for": "2s"}, {"weight": 100}],
            "analysis": {"interval": "1s", "minRequests": 20, "successRate": {"min": 95.0}},
            **rollout,
        },
    }


class World:
    """Grayplane, an Envoy edge, two versions of a service, and users who ask without pause."""

    def __init__(self, home: Path, grayplane: Grayplane, v1: Upstream, v2: Upstream) -> None:
        self.grayplane = grayplane
        self.v1, self.v2 = v1, v2
        self.answers: list[tuple[int, str]] = []
        # The version that each user had last, and the users that were moved back by that time.
        self.versions: dict[str, str] = {}
        self.moved_back: set[str] = set()
        self.pause = 0.0
        self.status = home / "state" / "status" / "reviews.yaml"

    async def samples(self) -> list[dict[str, Any]]:
        """Return what each interval saw, from the API."""
        at = f"http://127.0.0.1:{self.grayplane.http_port}/api/v1/rollouts/reviews"
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            samples: list[dict[str, Any]] = (await client.get(at)).json()["samples"]
            return samples

    async def said(self, what: str, seen: int = 0) -> dict[str, Any]:
        return await self.grayplane.until_logged(lambda entry: entry["event"] == f"rollout: {what}", seen)

    def weights(self) -> list[float]:
        entered = (entry for entry in self.grayplane.log() if entry["event"] == "rollout: enter")
        return [entry["weight"] for entry in entered]

    async def all_from(self, version: str) -> None:
        async def holds() -> bool:
            start = len(self.answers)
            while len(self.answers) < start + 50:
                await asyncio.sleep(0.02)
            return {answer[1] for answer in self.answers[start + 30 :]} == {version}

        await until(holds)

    async def users(self, number: int) -> None:
        async with Client(self.grayplane.edge_port) as client:
            while True:
                user = f"user-{number}-{len(self.answers) % 1000}"
                response = await client.get(HOST, headers=[("x-user-id", user)])
                version = response.json()["version"] if response.body.startswith(b"{") else "none"
                if (self.versions.get(user), version) == ("v2", "v1"):
                    self.moved_back.add(user)
                self.versions[user] = version
                self.answers.append((response.status, version))
                await asyncio.sleep(self.pause)


@asynccontextmanager
async def world_in(home: Path, *, processes: int = 1) -> AsyncIterator[World]:
    """Start it all; the rollout is yet to be published."""
    async with Upstream("reviews", "v1") as v1, Upstream("reviews", "v2") as v2:
        grayplane = Grayplane(home, "--set", "rollouts.report_interval=0.5")
        grayplane.set("xds.processes", str(processes))
        grayplane.instances("reviews", v1, v2)
        before = {key: one for key, one in document().items() if key != "rollout"}
        for route, weight in zip(before["http"][0]["route"], (100, 0), strict=True):
            route["weight"] = weight  # a rollout begins at 0, so no user is to have the subset before
        grayplane.rule("reviews.yaml", before)
        async with grayplane, EnvoyProcess(grayplane.bootstrap("edge")) as envoy:
            assert envoy
            world = World(home, grayplane, v1, v2)
            async with _load(world):
                yield world


@asynccontextmanager
async def _load(world: World) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        senders = [tasks.create_task(world.users(number)) for number in range(LOAD)]
        yield
        for sender in senders:
            sender.cancel()


async def grayplane_says(world: World, *arguments: str, status: int = 0) -> str:
    """Run ``grayplane rollout``; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("grayplane"),
        *("rollout", *arguments, "--server", f"http://127.0.0.1:{world.grayplane.http_port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == status, said.decode()
    return said.decode()


async def entered(world: World, weight: float) -> bool:
    """Whether the step with a weight was entered."""
    return weight in world.weights()
