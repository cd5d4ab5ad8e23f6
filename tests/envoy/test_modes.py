"""The same routes, edits and removals are served in every mode of Envoy; and it reports its load."""

import pytest

from tests.envoy.modes import MODES, rule, running, until
from tests.harness.http import Upstream
from xds.rules.instance import Instance


@pytest.mark.parametrize("name", MODES)
async def test_35_36_the_same_is_served_in_every_mode(name: str) -> None:
    async with running(MODES[name]) as it:
        assert await it.version() == "v1"
        assert await it.version(release="canary") == "v2"
        assert await it.version("unknown.example.com") == 404

        async def edited() -> bool:
            return await it.version(release="beta") == "v2"

        it.world.set("reviews", rule("beta"))
        await until(edited)
        assert await it.version(release="canary") == "v1"

        async def added() -> bool:
            return await it.version("ratings.example.com", release="on") == "v2"

        it.world.set("ratings", rule("on", "ratings", "ratings.example.com"))
        await until(added)
        assert await it.version(release="beta") == "v2"

        async def removed() -> bool:
            return await it.version("ratings.example.com") == 404

        it.world.set("ratings", None)
        await until(removed)
        assert await it.version() == "v1"

        async def clusters_gone() -> bool:
            return not any("ratings" in name for name in await it.envoy.stats(r"^cluster\.ratings"))

        await until(clusters_gone)
        assert await it.version() == "v1"
        assert it.watch.rejected == []
        rejected = await it.envoy.stats("update_rejected$")
        assert rejected
        assert not any(rejected.values()), rejected


@pytest.mark.parametrize("name", MODES)
async def test_35_instances_that_move_are_followed_in_every_mode(name: str) -> None:
    async with running(MODES[name]) as it, Upstream("reviews", "v3") as newcomer:
        assert await it.version() == "v1"
        it.world.instances[0] = Instance("127.0.0.1", newcomer.port, metadata={"version": "v1"})

        async def moved() -> bool:
            return await it.version() == "v3"

        it.world.set("reviews", rule("canary"))
        await until(moved)
        assert await it.version(release="canary") == "v2"


async def test_40_envoy_reports_the_load_of_each_cluster() -> None:
    async with running(MODES["ads-delta"]) as it:

        async def reporting() -> bool:
            return {"reviews|stable", "reviews|gray"} <= it.watch.loads.keys()

        await until(reporting)  # Envoy counts from its first report on
        for _ in range(7):
            assert await it.version() == "v1"
        for _ in range(3):
            assert await it.version(release="canary") == "v2"

        async def reported() -> bool:
            loads = it.watch.loads
            return loads.get("reviews|stable", 0) >= 7 and loads.get("reviews|gray", 0) >= 3

        await until(reported)
        assert it.watch.loads["reviews|stable"] == 7
        assert it.watch.loads["reviews|gray"] == 3
