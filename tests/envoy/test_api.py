"""The HTTP API and the metrics of a real Grayplane with a real Envoy connected to it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import PATIENCE
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Upstream

DOCUMENT = "/documents/reviews.yaml"
SERVICE = "/services/reviews"


def rule(gray: int = 5) -> dict[str, Any]:
    split = [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}]
    testers = {"name": "testers", "match": [{"headers": {"x-release": {"exact": "canary"}}}]}
    return {
        "hosts": ["reviews.example.com"],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {**testers, "route": [{"subset": "gray"}]},
            {"name": "ramp", "sticky": {"header": "x-user-id"}, "route": split},
        ],
    }


def ramp(**weights: int) -> list[dict[str, Any]]:
    return [{"rule": "ramp", "weights": weights}]


class World:
    """Grayplane with an Envoy edge, the API of the former, and instances of two versions."""

    def __init__(self, grayplane: Grayplane, api: httpx.AsyncClient, v1: Upstream, v2: Upstream) -> None:
        self.grayplane = grayplane
        self.api = api
        self.v1 = v1
        self.v2 = v2

    async def get(self, path: str) -> Any:
        answer = await self.api.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    async def until_says(self, path: str, holds: Callable[[Any], object]) -> Any:
        """Return what a path says once it says what is waited for."""
        said: Any = None

        async def there() -> bool:
            nonlocal said
            said = await self.get(path)
            return bool(holds(said))

        await until(there)
        return said

    async def until_in_state(self, state: str) -> Any:
        return await self.until_says(DOCUMENT, lambda said: said["state"] == state and said["proxies"]["of"])

    async def until_split(self, **weights: int) -> Any:
        return await self.until_says(SERVICE, lambda said: said["splits"] == ramp(**weights))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    grayplane = Grayplane(tmp_path)
    grayplane.rule("reviews.yaml", rule())
    base = f"http://127.0.0.1:{grayplane.http_port}/api/v1"
    async with Upstream("reviews", "v1") as v1, Upstream("reviews", "v2") as v2:
        grayplane.instances("reviews", v1, v2)
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("edge")),
            httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE) as api,
        ):
            now = World(grayplane, api, v1, v2)
            await now.until_in_state("Programmed")
            yield now


async def test_it_says_what_runs_and_who_runs_it(world: World) -> None:
    document = await world.get(DOCUMENT)
    assert document["revision"] == document["inForce"]
    assert document["proxies"] == {"programmed": 1, "of": 1, "behind": []}

    service = await world.get(SERVICE)
    assert service["splits"] == ramp(gray=5, stable=95)
    assert {subset["name"]: subset["instances"] for subset in service["subsets"]} == {"stable": 1, "gray": 1}

    [proxy] = (await world.until_says("/proxies?state=in step", lambda said: said["items"]))["items"]
    assert (proxy["id"], proxy["role"], proxy["state"]) == ("edge-1", "edge", "in step")
    overview = await world.get("/overview")
    assert overview["documents"] == {"total": 1, "byState": {"Programmed": 1}}
    assert overview["proxies"] == {"total": 1, "byState": {"in step": 1}}


async def test_a_share_is_shown_where_it_goes(world: World) -> None:
    world.grayplane.instances("reviews", world.v1)
    await world.until_split(stable=100)
    world.grayplane.instances("reviews", world.v1, world.v2)
    await world.until_split(gray=5, stable=95)


async def test_the_splits_of_before_are_kept(world: World) -> None:
    for gray in (50, 75):
        world.grayplane.rule("reviews.yaml", rule(gray))
        last = ramp(gray=gray, stable=100 - gray)
        service = await world.until_says(SERVICE, lambda said: said["trend"][-1]["splits"] == last)  # noqa: B023
    assert [change["splits"][0]["weights"]["gray"] for change in service["trend"]] == [5, 50, 75]


async def test_a_wrong_edit_is_told_with_its_line_and_the_last_good_one_stays(world: World) -> None:
    good = await world.get(DOCUMENT)
    world.grayplane.rule("reviews.yaml", "service: reviews\nbaseline: stabel\n")
    bad = await world.until_in_state("Rejected")
    assert bad["inForce"] == good["revision"] != bad["revision"]
    assert (bad["problems"][0]["line"], bad["problems"][0]["text"]) == (2, "baseline: stabel")
    [found] = (await world.get("/documents?state=Rejected"))["items"]
    assert (found["name"], found["errors"]) == ("reviews.yaml", len(bad["problems"]))


async def test_a_request_is_explained(world: World) -> None:
    body = {"service": "reviews", "headers": {"x-release": "canary"}}
    explained = (await world.api.post("/explain", json=body)).json()
    assert explained["rule"] == "testers"
    assert explained["chances"] == [{"to": "reviews|gray", "percent": 100}]
    assert explained["considered"][0]["percent"] == 100


async def test_a_text_is_checked_beside_the_other_documents(world: World) -> None:
    other = {"name": "other.yaml", "text": "service: other\nhosts: [reviews.example.com]\n"}
    checked = (await world.api.post("/lint", json=other)).json()
    assert not checked["ok"]
    assert any("reviews.example.com" in problem["problem"] for problem in checked["problems"])


async def test_lint_gives_the_advice_of_the_command(world: World, tmp_path: Path) -> None:
    text = yaml.safe_dump(
        {
            **rule(),
            "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v9"}}},
            "http": [
                {"name": "all", "match": [{"uri": {"prefix": "/"}}], "route": [{"subset": "stable"}]},
                {"name": "some", "match": [{"uri": {"prefix": "/a"}}], "route": [{"subset": "gray"}]},
            ],
        }
    )
    checked = (await world.api.post("/lint", json={"name": "reviews.yaml", "text": text})).json()
    assert checked["ok"]
    (tmp_path / "reviews.yaml").write_text(text)
    services = ("--services", str(world.grayplane.services))
    command = ("-m", "xds", "lint", str(tmp_path / "reviews.yaml"), *services, "--output", "json")
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    [document] = json.loads(said)["documents"]
    keys = ("severity", "line", "column", "field", "problem", "hint")

    def told(problems: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
        return {tuple(problem[key] for key in keys) for problem in problems}

    assert told(checked["problems"]) == told(document["problems"])
    assert {problem["field"] for problem in checked["problems"]} == {"http[1].match[0]", "subsets.gray"}


async def test_a_document_is_published_and_audited(world: World) -> None:
    known = await world.get(DOCUMENT)
    body = {"text": known["text"].replace("weight: 5", "weight: 95"), "revision": known["revision"]}
    published = (await world.api.put(DOCUMENT, json=body | {"reason": "ticket 42"})).json()
    assert published["revision"] != known["revision"]
    await world.until_says(DOCUMENT, lambda said: said["inForce"] == published["revision"])
    again = await world.api.put(DOCUMENT, json=body)
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    refused = await world.api.put("/documents/README.md", json={"text": "service: reviews\n"})
    assert refused.status_code in {409, 422}
    audited = [entry for entry in world.grayplane.log() if entry.get("action") == "publish"]
    assert len(audited) == 3
    assert (audited[0]["who"], audited[0]["reason"], audited[0]["outcome"]) == ("local", "ticket 42", "done")


async def test_a_rollout_is_shown_and_steered(world: World) -> None:
    steps = [{"weight": 10, "for": "1h30m"}, {"weight": 50, "approval": True}, {"weight": 100}]
    world.grayplane.rule("reviews.yaml", rule() | {"rollout": {"subset": "gray", "steps": steps}})
    await world.until_split(gray=10, stable=90)
    rollout = await world.get("/rollouts/reviews")
    assert rollout["steps"] == ["10 % for 1h30m", "50 %, approval", "100 %"]
    assert (rollout["step"], rollout["of"], rollout["weight"]) == (1, 3, 10)
    assert {"pause", "abort"} <= set(rollout["actions"])
    [listed] = (await world.get("/rollouts"))["items"]
    assert listed["phase"] == rollout["phase"] == (await world.get(SERVICE))["rollout"]

    done = await world.api.post("/rollouts/reviews/abort", json={"reason": "errors"})
    assert done.status_code == 204, done.text
    await world.until_split(gray=0, stable=100)
    again = await world.api.post("/rollouts/reviews/pause", json={})
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    [said] = [entry for entry in world.grayplane.log() if entry.get("action") == "rollout abort"]
    assert (said["who"], said["reason"], said["outcome"]) == ("local", "errors", "done")


async def test_changes_are_told_as_they_happen(world: World) -> None:
    async with world.api.stream("GET", "/events") as events:
        lines = events.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        last_id = (await anext(lines)).removeprefix("id: ")
        world.grayplane.rule("reviews.yaml", rule(50))
        seen: set[str] = set()
        async with asyncio.timeout(PATIENCE):
            while not seen >= {"event: documents", "event: services", "event: proxies"}:
                seen.add(await anext(lines))
    missed = {"event: documents", "event: services", "event: proxies", "event: rollouts", "event: sources"}
    async with world.api.stream("GET", "/events", headers={"last-event-id": last_id}) as events:
        async for line in events.aiter_lines():
            missed.discard(line)
            if not missed:
                break
    assert await world.grayplane.stop() == 0, "an open event stream keeps it from nothing"


async def test_metrics_count_what_happens_without_naming_whom(world: World) -> None:
    async def samples() -> dict[str, float]:
        answer = await world.api.get(f"http://127.0.0.1:{world.grayplane.http_port}/metrics")
        return {
            " ".join((sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items())))): (
                sample.value
            )
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    async def pushed() -> bool:
        found = await samples()
        # With several processes, responses are counted once a second.
        counted = found["grayplane_pushes_total"] >= found.get(
            "grayplane_answers_total answer=ack type=Cluster", 1
        )
        told = found.get("grayplane_documents state=Programmed") == 1
        return counted and told and found["grayplane_push_delay_seconds_count"] >= 1

    world.grayplane.rule("reviews.yaml", rule(50))
    await until(pushed)
    found = await samples()
    assert found["grayplane_nodes role=edge state=in step"] == 1
    assert found["grayplane_answers_total answer=ack type=Cluster"] >= 1
    assert found["grayplane_source_healthy source=files"] == 1
    assert found["grayplane_source_in_step source=files"] == 1
    assert not any("edge-1" in name or "reviews" in name for name in found)
