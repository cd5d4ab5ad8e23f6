"""Splits: how many users a real Envoy sends where, and whether they stay there."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import pytest

from tests.envoy.static import document, serving
from tests.harness.http import Client, Headers

USERS = [f"user-{number}" for number in range(500)]

# Plain routes cannot say it and no request meets it: with it in front, a document becomes a matcher.
LONG_LIST = {
    "name": "long-list",
    "match": [{"headers": {"x-nobody": {"in": [f"user-{n}" for n in range(20)]}}}],
    "route": [{"subset": "three"}],
}


def ramp(weights: dict[str, int], **fields: object) -> dict[str, object]:
    route = [{"subset": subset, "weight": weight} for subset, weight in weights.items()]
    return {"name": "ramp", "route": route, **fields}


async def versions(port: int, host: str, requests: Iterable[Headers]) -> list[str]:
    """Return the version that answered each request, all sent to one host."""
    remaining = list(enumerate(requests))
    answers = dict.fromkeys(range(len(remaining)), "")

    async def send() -> None:
        async with Client(port) as client:
            while remaining:
                number, headers = remaining.pop()
                response = await client.get(host, "/", headers)
                assert response.status == 200
                answers[number] = response.json()["version"]

    await asyncio.gather(*(send() for _ in range(8)))
    return list(answers.values())


def assert_share(count: int, of: int, share: float) -> None:
    """Check a count against its binomial distribution: outside of five deviations is one run in a million."""
    assert abs(count - of * share) <= 5 * math.sqrt(of * share * (1 - share)), f"{count} of {of} for {share}"


async def test_weights_are_kept() -> None:
    documents = {
        "two.test": document(ramp({"base": 90, "one": 10})),
        "three.test": document(ramp({"base": 1, "one": 2, "two": 1})),
        "zero.test": document(ramp({"base": 0, "one": 3, "two": 0})),
        "off.test": document(ramp({"base": 0, "one": 1}), enabled=False),
    }
    async with serving(documents) as port:
        counts = {host: Counter(await versions(port, host, [()] * 1000)) for host in documents}
    assert_share(counts["two.test"]["one"], 1000, 0.1)
    assert_share(counts["three.test"]["one"], 1000, 0.5)
    assert_share(counts["three.test"]["two"], 1000, 0.25)
    assert counts["zero.test"] == {"one": 1000}
    assert counts["off.test"] == {"base": 1000}


@pytest.mark.parametrize("sticky", [{"header": "x-user-id"}, {"cookie": "uid"}], ids=["header", "cookie"])
async def test_raising_a_weight_only_adds_users(sticky: dict[str, str]) -> None:
    percents = (0, 5, 25, 50, 100)
    rules = {percent: ramp({"base": 100 - percent, "one": percent}, sticky=sticky) for percent in percents}
    documents = {f"plain-{percent}.test": document(rule) for percent, rule in rules.items()} | {
        f"matcher-{percent}.test": document(LONG_LIST, rule) for percent, rule in rules.items()
    }
    requests = [[("x-user-id", user), ("cookie", f"a=b; uid={user}")] for user in USERS]
    cohorts: dict[str, set[str]] = {}
    async with serving(documents) as port:
        for host in documents:
            answers = await versions(port, host, requests)
            cohorts[host] = {user for user, version in zip(USERS, answers, strict=True) if version == "one"}
        assert await versions(port, "plain-50.test", requests) == await versions(
            port, "matcher-50.test", requests
        )
    for percent in percents:
        assert_share(len(cohorts[f"plain-{percent}.test"]), len(USERS), percent / 100)
        assert cohorts[f"plain-{percent}.test"] == cohorts[f"matcher-{percent}.test"]
    for smaller, larger in pairwise(cohorts[f"plain-{percent}.test"] for percent in percents):
        assert smaller < larger


@pytest.mark.parametrize("before", [(), (LONG_LIST,)], ids=["plain", "matcher"])
async def test_a_generated_cookie_keeps_its_user(before: tuple[object, ...]) -> None:
    rule = ramp({"base": 50, "one": 50}, sticky={"cookie": "uid", "ttl": "1h"})
    async with serving({"ramp.test": document(*before, rule)}) as port, Client(port) as client:
        met = set()
        for _ in range(30):
            first = await client.get("ramp.test")
            cookie, *attributes = first.headers["set-cookie"].split("; ")
            assert {"Max-Age=3600", "Path=/"} <= set(attributes)
            for _ in range(5):
                again = await client.get("ramp.test", "/", [("cookie", cookie)])
                assert again.json()["version"] == first.json()["version"]
                assert "set-cookie" not in again.headers
            met.add(first.json()["version"])
    assert met == {"base", "one"}


async def test_a_user_without_identity_is_split_by_chance() -> None:
    rule = ramp({"base": 50, "one": 50}, sticky={"header": "x-user-id"})
    async with serving({"ramp.test": document(rule)}) as port:
        counts = Counter(await versions(port, "ramp.test", [()] * 1000))
    assert_share(counts["one"], 1000, 0.5)
