"""Replicas are replaced by another version, one after the other, and no request is lost.

The versions are the code here, the same code under another version number, and code that compiles to other
bytes and keeps its state in another format: what releases may do to each other.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import PATIENCE
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_ports
from tests.harness.tcp_proxy import TcpBalancer

HOST = "reviews.example.com"
CODE = Path(__file__).parents[2]

# What another release changed: a file of the package, a pattern in it, and what is there instead.
OTHER_BYTES = ("compiler/clusters.py", r"(_CONNECT_TIMEOUT = timedelta\(seconds=)1\)", r"\g<1>2)")
OTHER_FORMAT = ("snapshot/store.py", r'(_FORMAT = "grayplane snapshot )\d+"', r'\g<1>1000"')

UPDATES = (
    "(cluster_manager.cds|listener_manager.lds|http.*rds.*|cluster[.](reviews|edge).*)"
    "[.]update_(success|rejected)"
)


def release(home: Path, version: str, *changes: tuple[str, str, str]) -> dict[str, str]:
    """Make another release of the code here; return the environment in which it is what runs."""
    package = home / "xds"
    shutil.copytree(CODE / "xds", package)
    for data in ("config", "envoy"):
        shutil.copytree(CODE / data, home / data)
    for path, pattern, instead in changes:
        file = package / path
        text, count = re.subn(pattern, instead, file.read_text())
        assert count == 1, f"{pattern} is not in {path}"
        file.write_text(text)
    metadata = home / f"grayplane-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: grayplane\nVersion: {version}\n")
    return {"PYTHONPATH": str(home)}


def rule(gray: int) -> dict[str, Any]:
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {
                "name": "ramp",
                "route": [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}],
            }
        ],
    }


class Site:
    """Two replicas behind a balancer, an edge and a sidecar, and requests through both all the while."""

    def __init__(self, replicas: Sequence[Grayplane], envoys: Sequence[EnvoyProcess]) -> None:
        self.replicas = replicas
        self.envoys = envoys
        self.answers: list[list[str | int]] = [[], []]

    async def send(self, number: int) -> None:
        """Send requests through an edge or a sidecar, as fast as they are answered."""
        port = (self.replicas[0].edge_port, self.replicas[0].outbound_port)[number]
        async with Client(port) as client:
            while True:
                response = await client.get((HOST, "reviews")[number])
                answer = response.json()["version"] if response.status == 200 else response.status
                self.answers[number].append(answer)

    async def more(self) -> None:
        """Wait until a hundred more requests were answered through each proxy."""
        seen = [len(answers) + 100 for answers in self.answers]

        async def answered() -> bool:
            return all(len(each) > least for each, least in zip(self.answers, seen, strict=True))

        await until(answered)

    async def edit(self, gray: int) -> None:
        """Edit the rule, and wait until requests are answered by it."""
        for replica in self.replicas:
            replica.rule("reviews.yaml", rule(gray))
        expected = "v2" if gray else "v1"

        async def in_force() -> bool:
            return all(answers[-20:] == [expected] * 20 for answers in self.answers)

        await until(in_force)

    async def updates(self) -> list[dict[str, int]]:
        return [await envoy.stats(UPDATES) for envoy in self.envoys]

    async def upgrade(self, environment: dict[str, str], version: str) -> None:
        """Replace one replica after the other, as an operator or Kubernetes does."""
        for replica in self.replicas:
            assert await replica.stop() == 0
            replica.use(environment)
            await replica.start()
            assert await served_version(replica) == version
            await until(self.connected)
            await self.more()

    async def connected(self) -> bool:
        states = [await envoy.stats("control_plane.connected_state") for envoy in self.envoys]
        return all(state == {"control_plane.connected_state": 1} for state in states)

    async def timeouts(self) -> set[str]:
        """Return the connect timeouts of the service's clusters: they tell whose bytes a proxy has."""
        return {
            cluster["cluster"]["connect_timeout"]
            for envoy in self.envoys
            for section in await envoy.config_dump()
            for cluster in section.get("dynamic_active_clusters", ())
            if cluster["cluster"]["name"].startswith("reviews|")
        }


async def served_version(replica: Grayplane) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        metrics = (await client.get(f"http://127.0.0.1:{replica.http_port}/metrics")).text
    found = re.search(r'grayplane_build_info{version="([^"]+)"}', metrics)
    assert found
    return found[1]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        home.mkdir()
    one = Grayplane(homes[0])
    listeners = (
        *("--set", f"edge.port={one.edge_port}", "--set", f"sidecar.outbound_port={one.outbound_port}"),
        *("--set", f"sidecar.inbound_port={one.inbound_port}"),
    )
    two = Grayplane(homes[1], *listeners)
    async with AsyncExitStack() as stack:
        v1 = await stack.enter_async_context(Upstream("reviews", "v1"))
        v2 = await stack.enter_async_context(Upstream("reviews", "v2"))
        for replica in (one, two):
            replica.rule("reviews.yaml", rule(gray=0))
            replica.instances("reviews", v1, v2)
            await stack.enter_async_context(replica)
        [port] = free_ports(1)
        balancer = TcpBalancer(port, [one.xds_port, two.xds_port])
        await balancer.start()
        stack.push_async_callback(balancer.cut)
        envoys = []
        for role, metadata in (("edge", {}), ("sidecar", {"service": "app"})):
            bootstrap = one.bootstrap(role, **metadata)
            [cluster] = bootstrap["static_resources"]["clusters"]
            [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
            endpoint["endpoint"]["address"]["socket_address"]["port_value"] = port
            envoys.append(await stack.enter_async_context(EnvoyProcess(bootstrap)))
        yield Site([one, two], envoys)


@asynccontextmanager
async def requests(site: Site) -> AsyncIterator[None]:
    """Send requests for the length of a block; every one must be answered by an instance."""
    async with asyncio.TaskGroup() as tasks:
        senders = [tasks.create_task(site.send(number)) for number in (0, 1, 0, 1)]
        yield
        for sender in senders:
            sender.cancel()
    assert {answer for answers in site.answers for answer in answers} == {"v1", "v2"}


async def test_replicas_are_upgraded_one_after_the_other(site: Site, tmp_path: Path) -> None:
    async with requests(site):
        await site.edit(gray=100)
        before = await site.updates()
        assert all(before), "there is something to count"

        # A release that compiles to the same bytes: nothing is pushed.
        await site.upgrade(release(tmp_path / "same", "1000.0.1"), "1000.0.1")
        assert await site.updates() == before

        # One that does not, with one replica of each: both versions take edits.
        other = release(tmp_path / "other", "1000.1.0", OTHER_BYTES, OTHER_FORMAT)
        one, two = site.replicas
        assert await one.stop() == 0
        one.use(other)
        await one.start()
        await site.edit(gray=0)
        assert [await served_version(each) for each in (one, two)] == ["1000.1.0", "1000.0.1"]

        # And then all.
        await site.upgrade(other, "1000.1.0")
        await site.edit(gray=100)
        assert await site.timeouts() == {"2s"}

        # Back again: the state that the newer one kept is not read by mistake.
        await site.upgrade(release(tmp_path / "back", "1000.0.2"), "1000.0.2")
        await site.edit(gray=0)
        assert await site.timeouts() == {"1s"}
    rejected = [
        count for stats in await site.updates() for name, count in stats.items() if "rejected" in name
    ]
    assert rejected
    assert not any(rejected)
