"""Floods on both ports: the server lives, edits reach a real Envoy meanwhile, and memory stays bounded."""

import asyncio
from pathlib import Path

import psutil

from tests.harness import floods
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"
MOST_MEMORY = 200 << 20
"""Bytes that the server may have more after all attacks than before."""


async def test_edits_reach_envoy_while_the_ports_are_flooded(tmp_path: Path) -> None:
    grayplane = Grayplane(tmp_path)
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
            process = psutil.Process(grayplane.process_id)
            before = process.memory_info().rss
            for port, attacks in ((grayplane.xds_port, floods.XDS), (grayplane.http_port, floods.HTTP)):
                for name, attack in attacks.items():
                    attacking = asyncio.create_task(attack(port), name=name)
                    while not attacking.done():
                        await edit()
                    await attacking
            await edit()
            assert process.memory_info().rss - before < MOST_MEMORY
            resets = await envoy.admin("/stats?filter=control_plane.connected_state")
            assert "control_plane.connected_state: 1" in resets
