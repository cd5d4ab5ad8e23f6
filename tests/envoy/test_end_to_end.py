"""From a rule file to real requests through a real Envoy, as an operator would see it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"


def rule(*, gray: int = 5, **more: Any) -> dict[str, Any]:
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {
                "name": "testers",
                "match": [{"headers": {"x-release": {"exact": "canary"}}}],
                "route": [{"subset": "gray"}],
            },
            {
                "name": "ramp",
                "sticky": {"header": "x-user-id"},
                "route": [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}],
            },
        ],
        **more,
    }


class World:
    """Grayplane, two versions of `reviews`, and an Envoy edge that serves them."""

    def __init__(
        self, grayplane: Grayplane, v1: Upstream, v2: Upstream, envoy: EnvoyProcess, client: Client
    ) -> None:
        self.grayplane = grayplane
        self.v1 = v1
        self.v2 = v2
        self.envoy = envoy
        self.client = client

    async def version(self, host: str = HOST, **headers: str) -> str | int:
        """Ask who answers: a version, or the status of an answer that is none of theirs."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        response = await self.client.get(host, headers=fields)
        return response.json()["version"] if response.status == 200 else response.status

    async def gray_users(self, count: int) -> set[int]:
        """Return which of so many users are sent to the gray version."""
        return {user for user in range(count) if await self.version(x_user_id=f"user-{user}") == "v2"}

    def answers(self, expected: str | int, **headers: str) -> Callable[[], Awaitable[bool]]:
        async def holds() -> bool:
            return await self.version(**headers) == expected

        return holds


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Upstream("reviews", "v1") as v1, Upstream("reviews", "v2") as v2:
        grayplane = Grayplane(tmp_path)
        grayplane.rule("reviews.yaml", rule())
        grayplane.instances("reviews", v1, v2)
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
            Client(grayplane.edge_port) as client,
        ):
            yield World(grayplane, v1, v2, envoy, client)


@asynccontextmanager
async def load(world: World, connections: int = 8) -> AsyncIterator[list[str | int]]:
    """Send requests all the while, as fast as they are answered; give what answered, in order."""
    answers: list[str | int] = []

    async def send(number: int) -> None:
        async with Client(world.grayplane.edge_port) as client:
            while True:
                response = await client.get(HOST, headers=[("x-user-id", f"user-{len(answers)}-{number}")])
                answers.append(response.json()["version"] if response.status == 200 else response.status)

    async with asyncio.TaskGroup() as tasks:
        senders = [tasks.create_task(send(number)) for number in range(connections)]
        yield answers
        for sender in senders:
            sender.cancel()


async def test_a_header_a_split_and_the_same_user_on_the_same_side(world: World) -> None:
    assert await world.version() in {"v1", "v2"}
    assert {await world.version(x_release="canary", x_user_id=f"user-{n}") for n in range(50)} == {"v2"}
    gray = await world.gray_users(1000)
    assert 20 <= len(gray) <= 85, "5 % of 1,000: five standard deviations are 34"
    assert await world.gray_users(1000) == gray


async def test_a_new_weight_is_served_and_costs_no_request(world: World) -> None:
    before = await world.gray_users(400)
    async with load(world) as answers:
        world.grayplane.rule("reviews.yaml", rule(gray=50))

        async def even() -> bool:
            last = answers[-200:]
            return len(last) == 200 and last.count("v2") > 60

        await until(even)
    assert set(answers) == {"v1", "v2"}, "every request was answered by one of the two"
    assert await world.gray_users(400) > before, "who was gray stays gray"


async def test_a_broken_document_changes_nothing_and_says_why(world: World) -> None:
    seen = len(world.grayplane.log())
    world.grayplane.rule("reviews.yaml", "hosts: [reviews.example.com\nsubsets: {\n")
    said = await world.grayplane.until_logged(lambda entry: entry.get("document") == "reviews.yaml", seen)
    assert said["level"] == "error"
    assert said["line"] > 0
    assert said["problem"]
    assert await world.version(x_release="canary") == "v2"

    world.grayplane.rule("reviews.yaml", rule(gray=100))
    await until(world.answers("v2", x_user_id="anybody"))


async def test_a_restart_after_a_kill_resends_nothing_and_costs_no_request(world: World) -> None:
    subscriptions = "cluster_manager.cds|listener_manager.lds|http.edge.rds.edge|cluster.reviews.*"
    updates = f"({subscriptions})[.]update_(success|rejected)"
    before = await world.envoy.stats(updates)
    assert len(before) == 10
    async with load(world) as answers:
        await world.grayplane.kill()
        await until(lambda: _control_plane_is(world, connected=False))
        await world.grayplane.start()
        await until(lambda: _control_plane_is(world, connected=True))
        seen = len(answers)

        async def more() -> bool:
            return len(answers) > seen + 200

        await until(more)
    assert set(answers) <= {"v1", "v2"}
    assert await world.envoy.stats(updates) == before
    world.grayplane.rule("reviews.yaml", rule(gray=100))
    await until(world.answers("v2", x_user_id="anybody"))


async def _control_plane_is(world: World, *, connected: bool) -> bool:
    return await world.envoy.stats("control_plane.connected_state") == {
        "control_plane.connected_state": int(connected)
    }


async def test_a_restart_while_a_document_is_broken_keeps_its_last_valid_version(world: World) -> None:
    seen = len(world.grayplane.log())
    world.grayplane.rule("reviews.yaml", "not a rule")
    await world.grayplane.until_logged(lambda entry: entry.get("document") == "reviews.yaml", seen)
    assert await world.grayplane.stop() == 0
    await world.grayplane.start()
    await until(lambda: _control_plane_is(world, connected=True))
    assert await world.version(x_release="canary") == "v2"


async def test_disabled_is_the_baseline_alone(world: World) -> None:
    world.grayplane.rule("reviews.yaml", rule(enabled=False))
    await until(world.answers("v1", x_release="canary"))
    assert await world.gray_users(200) == set()


async def test_a_deleted_document_takes_its_hosts_away_and_nothing_else(world: World) -> None:
    world.grayplane.rule("ratings.yaml", {"hosts": ["ratings.example.com"]})
    async with Upstream("ratings", "v1") as ratings:
        world.grayplane.instances("ratings", ratings)
        await until(world.answers("v1", host="ratings.example.com"))
        (world.grayplane.rules / "reviews.yaml").unlink()
        await until(world.answers(404))
        assert await world.version(host="ratings.example.com") == "v1"


async def test_a_renamed_document_keeps_its_hosts(world: World) -> None:
    async with load(world) as answers:
        path = world.grayplane.rules / "reviews.yaml"
        world.grayplane.rule("reviews-of-books.yaml", rule(service="reviews", gray=100))
        path.unlink()

        async def all_gray() -> bool:
            last = answers[-100:]
            return len(last) == 100 and set(last) == {"v2"}

        await until(all_gray)
    assert set(answers) <= {"v1", "v2"}


async def test_without_gray_instances_the_baseline_serves_their_share(world: World) -> None:
    async with load(world) as answers:
        world.grayplane.instances("reviews", world.v1)
        await until(world.answers("v1", x_release="canary"))
        world.grayplane.instances("reviews", world.v1, world.v2)
        await until(world.answers("v2", x_release="canary"))
    assert set(answers) <= {"v1", "v2"}


async def test_a_repointed_subset_costs_no_request(world: World) -> None:
    """Clusters come before the routes that name them and leave after the routes that forgot them."""
    async with load(world) as answers:
        for name in ("green", "blue", "green"):
            document = rule()
            document["subsets"][name] = document["subsets"].pop("gray")
            document["http"][0]["route"] = [{"subset": name}]
            document["http"][1]["route"][1]["subset"] = name
            world.grayplane.rule("reviews.yaml", document)
            await until(_holds(world, f"reviews|{name}"))
            assert await world.version(x_release="canary") == "v2"
    assert set(answers) <= {"v1", "v2"}


def _holds(world: World, cluster: str) -> Callable[[], Awaitable[bool]]:
    """Whether Envoy has this cluster beside the baseline, and no other of the service."""

    async def holds() -> bool:
        stats = await world.envoy.stats("cluster[.]reviews.*[.]membership_total")
        return {stat.split(".")[1] for stat in stats} == {"reviews|stable", cluster}

    return holds


async def test_a_sidecar_calls_services_by_name_and_is_called(world: World) -> None:
    async with Upstream("ratings", "v1") as application:
        bootstrap = world.grayplane.bootstrap(
            "sidecar", service="ratings", upstreams=["reviews"], port=application.port
        )
        world.grayplane.instances("ratings", application)
        async with EnvoyProcess(bootstrap):
            async with Client(world.grayplane.outbound_port) as client:
                called = await client.get("reviews", headers=[("x-release", "canary")])
                assert called.json()["version"] == "v2"
                assert (await client.get("reviews:9080")).status == 200, "a port says nothing"
                assert (await client.get("ratings")).status == 404, "not one of its upstreams"
            async with Client(world.grayplane.inbound_port) as client:
                assert (await client.get("whatever")).json()["service"] == "ratings"


@pytest.mark.parametrize("values", [3, 30], ids=["plain routes", "matcher"])
async def test_a_header_on_several_lines_is_one_value(world: World, values: int) -> None:
    """It depends on a runtime flag in the bootstraps that are shipped."""
    texts = ["a,b", *(f"user-{number}" for number in range(values - 1))]
    match = [{"headers": {"x-tags": {"in": texts}}}]
    changed = rule(gray=0)  # whom the header does not decide is in no split
    changed["http"][0]["match"] = match
    world.grayplane.rule("reviews.yaml", changed)

    async def answer(*lines: str) -> str:
        response = await world.client.get(HOST, headers=[("x-tags", line) for line in lines])
        return str(response.json()["version"])

    async def holds() -> bool:
        # In a row: the document before sends one of 20 to v2 by chance.
        return {await answer("user-0") for _ in range(20)} == {"v2"}

    await until(holds)
    assert await answer("a", "b") == "v2"
    assert await answer("user-0", "user-1") == "v1"
    assert await answer("b", "a") == "v1"
