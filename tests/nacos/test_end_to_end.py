"""From the Nacos console to real requests through a real Envoy."""

import asyncio

from tests.harness.http import Upstream
from tests.nacos.world import World, rule


async def test_rules_as_they_are_edited_in_the_console(world: World) -> None:
    await world.operator.publish("reviews.yaml", rule(100))
    await world.until("v2")
    await world.operator.publish("reviews.yaml", rule(100, enabled=False))
    await world.until("v1")
    await world.operator.publish("ratings.yaml", "hosts: [ratings.example.com]")
    async with Upstream("ratings", "v1") as ratings:
        await world.register(ratings)
        await world.until("v1", "ratings.example.com")
        await world.operator.delete("reviews.yaml")
        await world.until(404)
        await world.until("v1", "ratings.example.com")


async def test_a_burst_of_publishes_ends_with_the_last_one(world: World) -> None:
    for number in range(40):
        await world.operator.publish("reviews.yaml", rule(0 if number % 2 else 50))
        await asyncio.sleep(0.002)
    await world.operator.publish("reviews.yaml", rule(100))
    await world.until("v2")


async def test_instances_come_and_go(world: World) -> None:
    await world.operator.publish("reviews.yaml", rule(100))
    await world.until("v2")
    await world.deregister(world.v2)
    await world.until("v1")
    await world.register(world.v2)
    await world.until("v2")
    await world.deregister(world.v1)
    await world.deregister(world.v2)
    await world.until(503)
    await world.register(world.v1)
    await world.until("v1")


async def test_instances_change_their_version_by_an_edit_of_metadata(world: World) -> None:
    """Also back and forth, and beside metadata that means nothing to anybody."""
    await world.operator.publish("reviews.yaml", rule(100))
    odd = {
        "版本": "金丝雀",
        "empty": "",
        "number": "1e400",
        "json": '{"a": [1]}',
        "protocol": "carrier-pigeon",
    }
    for stable, gray in ((world.v1, world.v2), (world.v2, world.v1), (world.v1, world.v2)):
        for upstream, label in ((stable, "v1"), (gray, "v2")):
            labels = {"version": label, **odd}
            await world.operator.register("reviews", "127.0.0.1", upstream.port, labels)
        await world.until(gray.version)


async def test_an_instance_that_flaps_fails_no_request(world: World) -> None:
    await world.operator.publish("reviews.yaml", rule(100))
    await world.until("v2")
    async with world.asking() as answers:
        for _ in range(10):
            await world.deregister(world.v2)
            await asyncio.sleep(0.1)
            await world.register(world.v2)
            await asyncio.sleep(0.1)
        await world.until("v2")
    assert answers <= {"v1", "v2"}


async def test_an_instance_of_a_host_name_is_resolved_by_the_proxy(world: World) -> None:
    await world.operator.publish("reviews.yaml", rule(100))
    await world.deregister(world.v2)
    await world.until("v1")
    await world.operator.register("reviews", "localhost", world.v2.port, {"version": "v2"})
    await world.until("v2")
