"""Grayplane on files, an Envoy edge and requests that go on, while the machine misbehaves."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Figures
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.traffic import Traffic

HOST = "reviews.example.com"
OTHERS = 100
"""How many other services there are, each with a document."""


def rule(version: str) -> dict[str, Any]:
    weights = {"v1": (100, 0), "v2": (0, 100)}[version]
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {
                "name": "ramp",
                "route": [
                    {"subset": "stable", "weight": weights[0]},
                    {"subset": "gray", "weight": weights[1]},
                ],
            }
        ],
    }


@dataclass(frozen=True, slots=True)
class Chaos:
    """What is misused. ``expected`` are the hosts that Envoy is to serve at the end."""

    grayplane: Grayplane
    envoy: EnvoyProcess
    traffic: Traffic
    expected: set[str]

    def edit(self, version: str) -> None:
        """Have all requests answered by a version."""
        self.grayplane.rule("reviews.yaml", rule(version))

    async def served(self, version: str) -> float:
        """Wait until requests are answered by a version; return how long that took, in seconds."""
        began = time.monotonic()
        async with Client(self.grayplane.edge_port) as client:

            async def holds() -> bool:
                answers = [await client.get(HOST) for _ in range(5)]
                return {each.json()["version"] for each in answers if each.status == 200} == {version}

            await until(holds)
        return time.monotonic() - began

    def add(self, name: str, host: str) -> None:
        """Add a service with a document."""
        self.expected.add(host)
        self.grayplane.rule(f"{name}.yaml", {"hosts": [host]})
        self.grayplane.listed(name, [{"address": "127.0.0.1", "port": 9}])

    async def lost(self) -> set[str]:
        """Wait until Envoy serves every host that it is to serve; return those that it never did."""
        missing: set[str] = set(self.expected)

        async def holds() -> bool:
            nonlocal missing
            missing = self.expected - _hosts(await self.envoy.config_dump())
            return not missing

        with contextlib.suppress(TimeoutError):
            await until(holds)
        return missing

    async def until_well(self) -> None:
        """Wait until nothing is wrong any more."""

        async def holds() -> bool:
            return (await self.grayplane.ready())["trouble"] is None

        await until(holds)

    async def until_trouble(self, words: str) -> None:
        """Wait until /ready says these words."""

        async def holds() -> bool:
            return words in ((await self.grayplane.ready())["trouble"] or "")

        await until(holds)


def _hosts(dump: Any) -> set[str]:
    """Every host in a dump of an Envoy's configuration."""
    hosts = set()
    for section in dump:
        for entry in section.get("dynamic_route_configs", ()):
            for virtual_host in entry["route_config"].get("virtual_hosts", ()):
                hosts.update(virtual_host["domains"])
    return hosts


@contextlib.asynccontextmanager
async def chaos_world(
    home: Path,
    figure: Figures,
    *,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (),
) -> AsyncIterator[Chaos]:
    """Start everything; all requests are answered by v1. At the end none has failed, and nothing is lost."""
    async with contextlib.AsyncExitStack() as stack:
        upstreams = [
            await stack.enter_async_context(Upstream("reviews", version)) for version in ("v1", "v2")
        ]
        grayplane = Grayplane(home, environment=environment, command=command)
        grayplane.instances("reviews", *upstreams)
        grayplane.rule("reviews.yaml", rule("v1"))
        await stack.enter_async_context(_others(grayplane))
        await stack.enter_async_context(grayplane)
        envoy = await stack.enter_async_context(EnvoyProcess(grayplane.bootstrap("edge")))
        expected = {HOST, *(f"s{number}.example.com" for number in range(OTHERS))}
        async with Traffic(grayplane.edge_port, HOST) as traffic:
            chaos = Chaos(grayplane, envoy, traffic, expected)
            await chaos.served("v1")
            yield chaos
            lost = await chaos.lost()
        figure("requests", traffic.answered)
        figure("failed", json.dumps(traffic.failed) if traffic.failed else 0)
        figure("configuration lost", len(lost))
        assert traffic.failed == {}
        assert traffic.answered > 0
        assert lost == set()


@contextlib.asynccontextmanager
async def _others(grayplane: Grayplane) -> AsyncIterator[None]:
    for number in range(OTHERS):
        grayplane.rule(f"s{number}.yaml", {"hosts": [f"s{number}.example.com"]})
        grayplane.listed(f"s{number}", [{"address": "127.0.0.1", "port": 9}])
    yield
