"""A service of 5,000 instances: a change of one is one update of its endpoints, and of nothing else."""

import re
from pathlib import Path
from typing import Any

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until

COUNT = 5000
UPDATES = "cluster_manager.cds|listener_manager.lds|http.edge.rds.edge|cluster.reviews.*"


def instance(number: int) -> dict[str, Any]:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return {"address": address, "port": 8080, "metadata": {"version": "v1", "zone": f"z{number % 3}"}}


async def test_one_instance_of_5000_changes(tmp_path: Path) -> None:
    grayplane = Grayplane(tmp_path)
    grayplane.rule("reviews.yaml", {"hosts": ["reviews.example.com"]})
    instances = [instance(number) for number in range(COUNT)]
    grayplane.listed("reviews", instances)
    async with grayplane, EnvoyProcess(grayplane.bootstrap("edge")) as envoy:

        async def has(count: int) -> bool:
            stats = await envoy.stats("cluster.reviews.membership_total")
            return list(stats.values()) == [count]

        async def updates() -> dict[str, int]:
            stats = await envoy.stats(f"({UPDATES})[.]update_(success|rejected)")
            return {re.sub(r"^cluster[.]", "", name): count for name, count in stats.items()}

        await until(lambda: has(COUNT))
        before = await updates()
        grayplane.listed("reviews", [*instances, instance(COUNT)])
        await until(lambda: has(COUNT + 1))
        after = await updates()
        changed = {name: count - before[name] for name, count in after.items() if count != before[name]}
        assert changed == {"reviews.update_success": 1}
