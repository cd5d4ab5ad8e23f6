"""Floods on both ports: the server lives, edits reach a real Envoy meanwhile, and memory stays bounded.

With several processes, of which each has the code that serves streams when there is one.
"""

import asyncio
from pathlib import Path

import psutil

from tests.harness import floods
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"
MOST_MEMORY = 300 << 20
"""Bytes that all processes together may have more after all attacks than before."""


def memory(processes: list[psutil.Process]) -> int:
    """Return the bytes of memory of all together."""
    return sum(process.memory_info().rss for process in processes)


async def test_edits_reach_envoy_while_the_ports_are_flooded(tmp_path: Path) -> None:
    grayplane = Grayplane(tmp_path, "--set", "xds.processes=2")
    async with Upstream("reviews", "v1") as upstream:
        grayplane.instances("reviews", upstream)
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
            Client(grayplane.edge_port) as client,
        ):
            served = 0

            async def edit() -> None:
                nonlocal served
                served += 1
                answer = {"status": 200, "body": f"edit {served}"}
                rule = {"name": "edit", "directResponse": answer}
                grayplane.rule("reviews.yaml", {"hosts": [HOST], "http": [rule]})

                async def there() -> bool:
                    return (await client.get(HOST)).body == f"edit {served}".encode()

                await until(there)

            await edit()
            parent = psutil.Process(grayplane.process_id)
            processes = [parent, *parent.children()]
            assert len(processes) == 3
            before = memory(processes)
            for port, attacks in ((grayplane.xds_port, floods.XDS), (grayplane.http_port, floods.HTTP)):
                for name, attack in attacks.items():
                    attacking = asyncio.create_task(attack(port), name=name)
                    while not attacking.done():
                        await edit()
                    await attacking
            await edit()
            assert memory(processes) - before < MOST_MEMORY
            assert not [entry for entry in grayplane.log() if entry["level"] in {"error", "critical"}]
            resets = await envoy.admin("/stats?filter=control_plane.connected_state")
            assert "control_plane.connected_state: 1" in resets
