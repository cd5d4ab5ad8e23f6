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
