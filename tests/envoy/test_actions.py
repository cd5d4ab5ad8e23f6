"""What rules do to requests, in a real Envoy: the words beside `route` and `match`."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.envoy.static import document, serving
from tests.harness.http import Client, Headers, Response

# Plain routes cannot say it and no request meets it: with it in front, a document becomes a matcher.
LONG_LIST = {
    "name": "long-list",
    "match": [{"headers": {"x-nobody": {"in": [f"user-{n}" for n in range(20)]}}}],
    "route": [{"subset": "three"}],
}
ONE = [{"subset": "one"}]


async def answers(rule: dict[str, Any], *requests: tuple[str, Headers]) -> Sequence[Response]:
    """Send requests to a rule as plain routes and as a matcher; return what both answered."""
    documents = {"plain.test": document(rule), "matcher.test": document(LONG_LIST, rule)}
    async with serving(documents) as port, Client(port) as client:
        plain = [await client.get("plain.test", target, headers) for target, headers in requests]
        matcher = [await client.get("matcher.test", target, headers) for target, headers in requests]
    for one, other in zip(plain, matcher, strict=True):
        assert (one.status, _seen(one)) == (other.status, _seen(other))
    return plain


def _seen(response: Response) -> tuple[object, ...]:
    if not response.headers.get("content-type", "").startswith("application/json"):
        return (response.body, response.headers.get("location", "").replace("matcher", "plain"))
    said = response.json()
    return (said["version"], said["path"])


@pytest.mark.parametrize(
    ("match", "rewrite", "target", "path"),
    [
        ({"uri": {"prefix": "/api/"}}, {"uri": "/v2/"}, "/api/a?b=c", "/v2/a?b=c"),
        ({"uri": {"prefix": "/API/", "ignoreCase": True}}, {"uri": "/"}, "/api/a", "/a"),
        ({"uri": {"exact": "/api"}}, {"uri": "/v2"}, "/api?b=c", "/v2?b=c"),
        ({"headers": {"a": {"exact": "1"}}}, {"uri": "/v2\\x"}, "/api/a?b=c", "/v2\\x?b=c"),
        ({}, {"uriRegex": {"match": "^/(a|b)/(.*)$", "rewrite": r"/\2/\1"}}, "/a/x?c=d", "/x/a?c=d"),
    ],
)
async def test_the_path_is_rewritten(
    match: dict[str, Any], rewrite: dict[str, Any], target: str, path: str
) -> None:
    rule = {"name": "r", "route": ONE, "rewrite": rewrite} | ({"match": [match]} if match else {})
    (response,) = await answers(rule, (target, [("a", "1")]))
    assert response.json()["path"] == path
    assert response.json()["version"] == "one"


async def test_each_alternative_has_its_own_prefix_replaced() -> None:
    match = [{"uri": {"prefix": "/old/"}}, {"uri": {"prefix": "/older/"}}]
    rule = {"name": "r", "match": match, "route": ONE, "rewrite": {"uri": "/new/"}}
    responses = await answers(rule, ("/old/a", ()), ("/older/b", ()))
    assert [response.json()["path"] for response in responses] == ["/new/a", "/new/b"]


async def test_the_host_is_rewritten() -> None:
    rule = {"name": "r", "route": ONE, "rewrite": {"authority": "reviews.internal"}}
    (response,) = await answers(rule, ("/", ()))
    assert response.json()["headers"]["host"] == "reviews.internal"


async def test_headers_are_changed() -> None:
    headers = {
        "request": {"set": {"a": "100%"}, "add": {"b": "2"}, "remove": ["c"]},
        "response": {"set": {"x-a": "50% %REQ(a)%"}, "remove": ["content-length"]},
    }
    rule = {"name": "r", "route": ONE, "headers": headers}
    (response,) = await answers(rule, ("/", [("a", "0"), ("b", "1"), ("c", "3")]))
    seen = response.json()["headers"]
    assert (seen["a"], seen.get("c")) == ("100%", None)
    assert response.headers["x-a"] == "50% %REQ(a)%"
    assert "content-length" not in response.headers


@pytest.mark.parametrize(
    ("redirect", "status", "location"),
    [
        ({"uri": "/new"}, 301, "http://plain.test/new?b=c"),
        ({"authority": "gray.test:8443", "scheme": "https"}, 301, "https://gray.test:8443/a?b=c"),
        ({"authority": "gray.test", "redirectCode": 307}, 307, "http://gray.test/a?b=c"),
    ],
)
async def test_the_client_is_sent_elsewhere(redirect: dict[str, Any], status: int, location: str) -> None:
    (response,) = await answers({"name": "r", "redirect": redirect}, ("/a?b=c", ()))
    assert (response.status, response.headers["location"]) == (status, location)


async def test_a_rule_answers_by_itself() -> None:
    rule = {"name": "r", "directResponse": {"status": 503, "body": "back at 6 (100%)"}}
    (response,) = await answers(rule, ("/", ()))
    assert (response.status, response.body) == (503, b"back at 6 (100%)")


async def test_an_answer_has_the_headers_of_its_rule() -> None:
    headers = {"response": {"set": {"content-type": "text/html", "retry-after": "3600"}}}
    rule = {"name": "r", "directResponse": {"status": 503, "body": "<b>6</b>"}, "headers": headers}
    (response,) = await answers(rule, ("/", ()))
    assert (response.headers["content-type"], response.headers["retry-after"]) == ("text/html", "3600")


async def test_requests_fail_on_purpose() -> None:
    fault = {"abort": {"httpStatus": 418}, "delay": {"fixedDelay": "1ms"}}
    (response,) = await answers({"name": "r", "route": ONE, "fault": fault}, ("/", ()))
    assert response.status == 418


async def test_requests_fail_on_purpose_where_a_hash_chose_the_route() -> None:
    match = [{"percentage": {"value": 100, "cookie": "uid"}}]
    rule = {"name": "r", "match": match, "route": ONE, "fault": {"abort": {"httpStatus": 418}}}
    (response,) = await answers(rule, ("/", [("cookie", "uid=1")]))
    assert response.status == 418


async def test_some_requests_fail_on_purpose() -> None:
    rule = {"name": "r", "route": ONE, "fault": {"abort": {"httpStatus": 500, "percentage": 50}}}
    async with serving({"fault.test": document(rule)}) as port, Client(port) as client:
        statuses = [(await client.get("fault.test")).status for _ in range(200)]
    assert 60 < statuses.count(500) < 140


@pytest.mark.parametrize(("fallback", "version"), [("two", "one"), ("none", "one")])
async def test_a_fallback_of_a_rule_is_a_cluster_of_its_own(fallback: str, version: str) -> None:
    (response,) = await answers({"name": "r", "route": ONE, "fallback": fallback}, ("/", ()))
    assert response.json()["version"] == version


async def test_a_copy_goes_to_the_mirror() -> None:
    rule = {
        "name": "r",
        "route": ONE,
        "mirror": {"subset": "two"},
        "retries": {"attempts": 3, "retryOn": ["503"]},
    }
    counted: dict[str, int] = {}
    async with serving({"mirror.test": document(rule)}, counts=counted) as port, Client(port) as client:
        for _ in range(20):
            assert (await client.get("mirror.test")).json()["version"] == "one"
    assert counted["two"] == 20
