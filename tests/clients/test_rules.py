"""What gRPC clients without a proxy make of rules: each row is run by a real client of each language."""

import asyncio
import json
from typing import Any

import pytest

from tests.clients.conftest import Mesh

_GRAY = [{"subset": "gray"}]
_NAME = "x-tag"

# A test of the header x-tag; values for which it holds, and for which it does not. None: no such header.
_TESTS: list[tuple[dict[str, Any], list[str | None], list[str | None]]] = [
    ({"exact": "canary"}, ["canary"], ["Canary", "canary2", None]),
    ({"exact": "canary", "ignoreCase": True}, ["canary", "CANARY"], ["canary2", None]),
    ({"exact": "canary", "not": True}, ["stable", None], ["canary"]),
    ({"prefix": "beta-"}, ["beta-", "beta-1"], ["bet", "xbeta-", None]),
    ({"suffix": "@example.com"}, ["me@example.com"], ["me@example.org", None]),
    ({"contains": "gray"}, ["a-gray-b"], ["a-blue-b", None]),
    ({"regex": "user-123|user-456"}, ["user-123", "user-456"], ["user-1234", "xuser-456", None]),
    ({"regex": "v[0-9]+", "ignoreCase": True}, ["v1", "V12"], ["v", "xv1", None]),
    ({"regex": "v[0-9]+", "not": True}, ["v", None], ["v1"]),
    ({"in": ["user-1", "user-2"]}, ["user-1", "user-2"], ["user-3", "user-11", None]),
    ({"in": ["user-1", "user-2"], "not": True}, ["user-3", None], ["user-1", "user-2"]),
    ({"range": {"start": 10, "end": 20}}, ["10", "19", "+15"], ["9", "20", "x", "", None]),
    ({"range": {"start": 10, "end": 20}, "not": True}, ["20", "x", None], ["10"]),
    ({"present": True}, ["x", ""], [None]),
    ({"present": False}, [None], ["x"]),
]


async def test_every_matcher_means_what_the_language_says(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    # One rule for each test, all behind a header of their own that says which is meant.
    mesh.rule(
        *(
            {
                "name": f"rule-{number}",
                "match": [{"headers": {"x-number": {"exact": str(number)}, _NAME: test}}],
                "route": _GRAY,
            }
            for number, (test, _, _) in enumerate(_TESTS)
        )
    )
    await mesh.connect()
    await mesh.until(lambda version: version == "v2", x_number="0", x_tag="canary")
    wrong = []
    for number, (test, holds, fails) in enumerate(_TESTS):
        for value, wanted in [*((each, "v2") for each in holds), *((each, "v1") for each in fails)]:
            headers = {"x-number": str(number)} | ({} if value is None else {_NAME: value})
            answer = await mesh.client.call(headers)
            if answer.version != wanted:
                wrong.append(f"{test} with {value!r}: {answer}")
    assert not wrong


async def test_paths_match_and_alternatives_are_or(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.rule(
        {
            "name": "methods",
            "match": [
                {"uri": {"exact": "/shop.Cart/Add"}},
                {"uri": {"prefix": "/admin."}, "headers": {"x-a": {"exact": "1"}}},
                {"uri": {"regex": "/shop[.](Order|Pay)/[A-Z][a-z]+"}},
            ],
            "route": _GRAY,
        }
    )
    await mesh.connect()
    await mesh.until(lambda version: version == "v1")
    expected = {
        "/shop.Cart/Add": "v2",
        "/shop.Cart/Remove": "v1",
        "/shop.Pay/Now": "v2",
        "/shop.Pay/now": "v1",
        "/admin.Users/List": "v1",
    }
    for method, version in expected.items():
        assert (await mesh.client.call(method=method)).version == version, method
    assert (await mesh.client.call({"x-a": "1"}, method="/admin.Users/List")).version == "v2"


async def test_a_split_without_identity_is_by_chance(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.rule(
        {"name": "ramp", "route": [{"subset": "stable", "weight": 70}, {"subset": "gray", "weight": 30}]}
    )
    await mesh.connect()
    versions = await asyncio.gather(*(mesh.version() for _ in range(400)))
    assert 60 < versions.count("v2") < 180


async def _gray_users(mesh: Mesh, users: list[str]) -> set[str]:
    versions = await asyncio.gather(*(mesh.version(x_user_id=user) for user in users))
    return {user for user, version in zip(users, versions, strict=True) if version == "v2"}


async def test_raising_a_sticky_share_only_adds_users(mesh: Mesh) -> None:
    # Three instances of stable and one of gray: the share must not depend on how many there are.
    await mesh.serve(v1=3, v2=1)
    users = [f"user-{number}" for number in range(400)]
    before: set[str] = set()
    for step, (share, low, high) in enumerate([(5, 8, 36), (25, 70, 135), (50, 160, 240)]):
        mesh.rule(
            {
                "name": "ramp",
                "sticky": {"header": "x-user-id"},
                "route": [{"subset": "stable", "weight": 100 - share}, {"subset": "gray", "weight": share}],
            },
            {"name": f"step-{step}", "match": [{"headers": {"x-step": {"exact": "1"}}}], "route": _GRAY},
        )
        if step == 0:
            await mesh.connect()
            # grpc-js leaves the first call that meets an idle endpoint of a ring waiting to its deadline.
            await asyncio.gather(*(mesh.client.call({"x-user-id": user}, deadline=1.0) for user in users))
        await _until_grown(mesh, users, low)
        now = await _gray_users(mesh, users)
        assert before <= now
        assert low <= len(now) <= high, share
        before = now


async def _until_grown(mesh: Mesh, users: list[str], low: int) -> None:
    async with asyncio.timeout(30):
        while len(await _gray_users(mesh, users)) < low:
            await asyncio.sleep(0.1)


async def test_a_subset_that_is_emptied_falls_back_and_comes_back(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.rule({"name": "testers", "match": [{"headers": {"x-release": {"exact": "canary"}}}], "route": _GRAY})
    await mesh.connect()
    await mesh.until(lambda version: version == "v2", x_release="canary")
    mesh.list_instances("v2")
    await mesh.until(lambda version: version == "v1", x_release="canary")
    mesh.list_instances()
    await mesh.until(lambda version: version == "v2", x_release="canary")


async def test_instances_that_refuse_connections_fall_back(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.rule({"name": "all", "route": _GRAY})
    await mesh.connect()
    await mesh.until(lambda version: version == "v2")
    [gray] = mesh.servers["v2"]
    await gray.__aexit__()
    await mesh.until(lambda version: version == "v1")


async def test_a_broken_rule_changes_nothing_and_says_why(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.rule({"name": "all", "route": _GRAY})
    await mesh.connect()
    await mesh.until(lambda version: version == "v2")
    mesh.rule({"name": "all", "match": [{"cookies": {"release": {"exact": "x"}}}], "route": _GRAY})
    entry = await mesh.grayplane.until_logged(lambda each: each.get("field") == "http[0].match[0].cookies")
    assert entry["hint"] == "gRPC clients send none; match a header"
    assert await mesh.version() == "v2"
    mesh.rule()
    await mesh.until(lambda version: version == "v1")


async def test_a_timeout_ends_a_call(mesh: Mesh) -> None:
    await mesh.serve(v1=1)
    mesh.rule({"name": "slow", "timeout": "3s", "route": [{"subset": "stable"}]})
    await mesh.connect()
    mesh.servers["v1"][0].delay = 30.0
    answer = await mesh.client.call(deadline=20.0)
    assert answer.code == 4, answer  # DEADLINE_EXCEEDED


@pytest.mark.slow
async def test_weight_changes_under_load_lose_no_call(mesh: Mesh) -> None:
    await _change_weights(mesh, 50)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_thousand_weight_changes_under_load_lose_no_call(mesh: Mesh) -> None:
    await _change_weights(mesh, 1_000)


async def _change_weights(mesh: Mesh, changes: int) -> None:
    """Change a split again and again, slowly enough to have each applied, under load."""
    await mesh.serve(v1=2, v2=2)

    def split(gray: int) -> None:
        route = [{"subset": "stable", "weight": 100 - gray}, {"subset": "gray", "weight": gray}]
        mesh.rule({"name": "ramp", "route": route})

    async def change() -> None:
        for number in range(changes):
            split(number * 37 % 101)
            await asyncio.sleep(0.1)  # files that change faster are read once

    split(0)
    await mesh.connect()
    failed, made = [], 0
    changing = asyncio.create_task(change())
    while not changing.done():
        answers = await asyncio.gather(*(mesh.client.call() for _ in range(8)))
        made += len(answers)
        failed += [answer for answer in answers if not answer.ok]
    assert made > changes
    assert not failed, failed[:5]
    applied = sum(entry["event"] == "rule document applied" for entry in mesh.grayplane.log())
    assert applied > 0.8 * changes


async def test_a_restart_under_load_loses_no_call(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.rule({"name": "all", "route": _GRAY})
    await mesh.connect()
    await mesh.until(lambda version: version == "v2")
    await mesh.grayplane.kill()
    assert [await mesh.version() for _ in range(50)] == ["v2"] * 50
    mesh.rule()
    await mesh.grayplane.start()
    await mesh.until(lambda version: version == "v1")


@pytest.mark.parametrize(
    "mark", [{"header": "x-gray-lane"}, {"baggage": "gray-lane"}], ids=["header", "baggage"]
)
async def test_a_lane_is_followed_by_its_mark(mesh: Mesh, mark: dict[str, str]) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.grayplane.rule("lanes.yaml", json.dumps({"lanes": [{"name": "gray", "subset": "gray", **mark}]}))
    mesh.rule()
    await mesh.connect()
    inside = {"x-gray-lane": "gray"} if "header" in mark else {"baggage": "a=b, gray-lane=gray;p=1,c=d"}
    await mesh.until_answered_by("v2", inside)
    outside = [
        {"x-gray-lane": "blue"},
        {"baggage": "gray-lane=gray2"},
        {"baggage": "other-gray-lane=gray"},
        {},
    ]
    for headers in outside:
        assert (await mesh.client.call(headers)).version == "v1", headers


async def test_a_list_is_one_rule_for_all_its_values(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.grayplane.rule("vip.list", "".join(f"user-{number}\n" for number in range(5_000)))
    vips = [{"headers": {"x-user-id": {"in": {"list": "vip"}}}}]
    mesh.rule({"name": "vips", "match": vips, "route": _GRAY})
    await mesh.connect()
    await mesh.until_answered_by("v2", {"x-user-id": "user-4999"})
    for user, version in {"user-0": "v2", "user-2500": "v2", "user-5000": "v1", "user-49990": "v1"}.items():
        assert await mesh.version(x_user_id=user) == version
