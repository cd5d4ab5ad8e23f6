"""The HTTP API by real HTTP messages, without a socket; what it answers is made up."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tests.harness.api_backend import TEXT, SampleBackend
from tests.harness.pages import section
from xds.documents import DocumentId, revision_of
from xds.http import Readiness, ServedFrom, http_app
from xds.http.access import Access, Role, Token, new_token
from xds.http.api import Api, api_app
from xds.http.audit import Audit
from xds.http.events import Events, Topic
from xds.rules.instance import ServiceId

REVISION = revision_of(TEXT.encode())
READING = [
    "/overview",
    "/services",
    "/services/reviews",
    "/documents",
    "/documents/reviews.yaml",
    "/proxies",
    "/proxies/edge-1",
    "/rollouts",
    "/rollouts/reviews",
    "/audit",
]
CHANGING = [
    ("PUT", "/documents/reviews.yaml", {"text": TEXT.replace("gry", "gray"), "revision": REVISION}),
    ("POST", "/rollouts/reviews/pause", {"reason": "lunch"}),
]


class Server:
    """The HTTP application, and who may use it."""

    def __init__(
        self, backend: SampleBackend | None = None, *, loopback: bool = True, tokens: int = 0
    ) -> None:
        self.backend = backend or SampleBackend()
        self.viewer, self.operator, self.stranger = (new_token() for _ in range(3))
        known = [
            Token("watcher", Role.VIEWER, self.viewer[1]),
            Token("alice", Role.OPERATOR, self.operator[1]),
        ]
        self.events = Events()
        self.audit = Audit(lambda: datetime(2026, 11, 25, tzinfo=UTC))
        access = Access(known[:tokens], loopback=loopback)
        api = api_app(Api(self.backend, access, self.audit, self.events), "1.0")
        self.app = http_app(lambda: Readiness(ServedFrom.SOURCE), Starlette(), api=api)

    @asynccontextmanager
    async def client(
        self, token: tuple[str, str] | None = None, *, raises: bool = True
    ) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"authorization": f"Bearer {token[0]}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=raises)
        base = "http://localhost:18080/api/v1"
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
            yield client


def problem(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    return body


@pytest.mark.parametrize("path", READING)
async def test_everything_can_be_read_and_is_described(path: str) -> None:
    async with Server().client() as client:
        answer = await client.get(path)
        described = (await client.get("/openapi.json")).json()["paths"]
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    first = "/" + path.split("/")[1]
    assert any(each.startswith(first) for each in described)


async def test_the_documentation_has_every_path() -> None:
    async with Server().client() as client:
        described = (await client.get("/openapi.json")).json()["paths"]
    paths = {
        (method.upper(), re.sub(r"{\w+}", "{}", path)) for path, of in described.items() for method in of
    }
    documented = set()
    for cell in re.findall(r"^\| (`(?:GET|PUT|POST) .*?) \|", section("docs/api.md", "API"), re.MULTILINE):
        method = cell[1:].partition(" ")[0]
        for path in re.findall(r"(/[^`]*)`", cell):
            documented.add((method, re.sub(r"{\w+}", "{}", path)))
    assert documented == paths


async def test_names_are_in_camel_case() -> None:
    async with Server().client() as client:
        document = (await client.get("/documents/reviews.yaml")).json()
    assert document["inForce"] == "81c0d4d4d4d4d4d4"
    assert document["proxies"]["behind"] == ["edge-0"]


@pytest.mark.parametrize("path", ["/services", "/documents", "/proxies"])
async def test_pages_hold_everything_once(path: str) -> None:
    seen: list[str] = []
    async with Server(SampleBackend(services=95, proxies=95)).client() as client:
        after: str | None = ""
        while after is not None:
            page = (
                await client.get(path, params={"limit": 10, **({"after": after} if after else {})})
            ).json()
            assert page["total"] == 95
            assert len(page["items"]) <= 10
            seen += [item.get("name") or item["id"] for item in page["items"]]
            after = page["next"]
    assert len(seen) == len(set(seen)) == 95
    assert seen == sorted(seen)


class SeveralNamespaces(SampleBackend):
    """Namespaces whose order as text is another than that of their names."""

    def service_ids(self) -> Sequence[ServiceId]:
        return sorted(ServiceId(space, f"s{n}") for space in ("", "prod", "prod-eu") for n in range(5))

    def _known(self, service: ServiceId) -> ServiceId:
        return ServiceId("", "reviews")


async def test_pages_hold_every_namespace() -> None:
    backend = SeveralNamespaces()
    total = 0
    async with Server(backend).client() as client:
        after = None
        while total == 0 or after is not None:
            query = {"limit": "2"} | ({"after": after} if after else {})
            page = (await client.get("/services", params=query)).json()
            total += len(page["items"])
            after = page["next"]
    assert total == len(backend.service_ids())


async def test_a_list_can_be_searched_and_narrowed() -> None:
    async with Server(SampleBackend(services=50, proxies=50)).client() as client:
        found = (await client.get("/services", params={"search": "VIEWS"})).json()
        behind = (await client.get("/proxies", params={"state": "behind"})).json()
        elsewhere = (await client.get("/services", params={"namespace": "staging"})).json()
    assert [item["name"] for item in found["items"]] == ["reviews"]
    assert [item["id"] for item in behind["items"]] == ["edge-01", "edge-11", "edge-21", "edge-31", "edge-41"]
    assert elsewhere == {"items": [], "total": 0, "next": None}


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/services/none", "there is no service none"),
        ("/documents/none.yaml", "there is no document none.yaml"),
        ("/proxies/none", "there is no proxy none"),
        ("/rollouts/none", "there is no rollout none"),
        ("/documents/..%2f..%2fetc%2fpasswd", "there is no document ../../etc/passwd"),
    ],
)
async def test_what_is_not_there_is_a_problem(path: str, detail: str) -> None:
    async with Server().client() as client:
        assert problem(await client.get(path), 404)["detail"] == detail


async def test_what_goes_wrong_is_a_problem_and_says_nothing_of_its_inside() -> None:
    class Broken(SampleBackend):
        def service_ids(self) -> Sequence[ServiceId]:
            raise RuntimeError("the password is swordfish")

    async with Server(Broken()).client(raises=False) as client:
        answer = await client.get("/services")
    problem(answer, 500)
    assert "swordfish" not in answer.text


@pytest.mark.parametrize("path", ["http://localhost:18080/nothing", "/services/a%0Ab"])
async def test_what_no_path_is_for_is_a_problem_everywhere(path: str) -> None:
    async with Server().client() as client:
        problem(await client.get(path), 404)


async def test_an_unknown_path_a_wrong_method_and_a_wrong_field_are_problems() -> None:
    async with Server().client() as client:
        problem(await client.get("/nothing"), 404)
        problem(await client.delete("/services"), 405)
        too_many = problem(await client.get("/services", params={"limit": 501}), 422)
        misspelt = problem(await client.post("/lint", json={"name": "a.yaml", "txt": ""}), 422)
    assert too_many["errors"][0]["field"] == "query.limit"
    assert {each["field"] for each in misspelt["errors"]} == {"body.text", "body.txt"}


async def test_a_large_body_is_refused_unread() -> None:
    async with Server().client() as client:
        problem(await client.post("/lint", content=b"x", headers={"content-length": "99999999"}), 413)


async def test_a_text_is_checked_compared_and_explained() -> None:
    async with Server().client() as client:
        lint = (await client.post("/lint", json={"name": "reviews.yaml", "text": TEXT})).json()
        diff = (await client.post("/diff", json={"name": "reviews.yaml", "text": TEXT})).json()
        explained = (await client.post("/explain", json={"service": "reviews"})).json()
        problem(await client.post("/explain", json={"service": "none"}), 404)
    assert (lint["ok"], lint["problems"][0]["line"]) == (False, 10)
    assert diff["changes"] == ["ramp: 20 % of the users move from stable to gray"]
    assert [chance["percent"] for chance in explained["chances"]] == [95, 5]


async def test_publishing_needs_the_revision_that_it_replaces_and_no_errors() -> None:
    server = Server()
    good = {"text": TEXT.replace("gry", "gray"), "revision": REVISION}
    async with server.client() as client:
        problem(await client.put("/documents/reviews.yaml", json=good | {"revision": "old"}), 409)
        refused = problem(await client.put("/documents/reviews.yaml", json=good | {"text": TEXT}), 422)
        assert server.backend.published == {}
        published = (await client.put("/documents/reviews.yaml", json=good)).json()
    assert refused["problems"][0]["hint"] == "did you mean gray?"
    assert published["revision"] == revision_of(good["text"].encode())
    assert server.backend.published == {DocumentId("", "reviews.yaml"): good["text"]}


async def test_actions_on_rollouts() -> None:
    server = Server()
    async with server.client() as client:
        assert (await client.post("/rollouts/reviews/pause", json={"reason": "lunch"})).status_code == 204
        conflict = problem(await client.post("/rollouts/reviews/approve", json={}), 409)
        problem(await client.post("/rollouts/none/pause", json={}), 404)
        problem(await client.post("/rollouts/reviews/explode", json={}), 422)
    assert server.backend.acted == [("pause", "local", "lunch")]
    assert conflict["detail"] == "step 2 waits for no approval"
    assert [(entry.action, entry.outcome) for entry in server.audit.entries] == [
        ("rollout pause", "there is no rollout of none"),
        ("rollout approve", "step 2 waits for no approval"),
        ("rollout pause", "done"),
    ]


@pytest.mark.parametrize("path", READING)
async def test_with_tokens_nothing_is_read_without_one(path: str) -> None:
    server = Server(tokens=2)
    async with server.client() as client:
        answer = await client.get(path)
    problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    async with server.client(server.stranger) as client:
        problem(await client.get(path), 401)


@pytest.mark.parametrize(("method", "path", "body"), CHANGING)
async def test_a_viewer_reads_and_changes_nothing(method: str, path: str, body: dict[str, str]) -> None:
    server = Server(tokens=2)
    async with server.client(server.viewer) as client:
        assert (await client.get("/overview")).json()["role"] == "viewer"
        problem(await client.get("/audit"), 403)
        problem(await client.request(method, path, json=body), 403)
    assert (server.backend.acted, server.backend.published) == ([], {})
    async with server.client(server.operator) as client:
        assert (await client.request(method, path, json=body)).is_success
        done, refused = (await client.get("/audit")).json()
    assert (done["who"], done["outcome"]) == ("alice", "done")
    assert (refused["who"], refused["outcome"]) == (
        "watcher",
        "watcher is a viewer; this takes the role operator",
    )


async def test_open_to_the_network_without_tokens_it_answers_nobody() -> None:
    async with Server(loopback=False).client() as client:
        assert "grayplane token" in problem(await client.get("/overview"), 403)["detail"]
        assert (await client.get("http://localhost:18080/live")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"origin": "http://localhost:18080"}, 204),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:18080", "origin": "http://evil.example:18080"}, 403),
        ({"host": "[::1]:18080"}, 204),
    ],
)
async def test_without_tokens_a_foreign_page_changes_nothing(headers: dict[str, str], status: int) -> None:
    server = Server()
    async with server.client() as client:
        answer = await client.post("/rollouts/reviews/pause", json={}, headers=headers)
    assert answer.status_code == status
    assert bool(server.backend.acted) == (status == 204)


async def test_every_answer_tells_browsers_to_run_nothing_of_others() -> None:
    async with Server().client() as client:
        for path in (
            "/overview",
            "/nothing",
            "http://localhost:18080/dashboard/",
            "http://localhost:18080/live",
        ):
            policy = (await client.get(path)).headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy


async def test_events_tell_what_changed_once_however_often() -> None:
    events = Events()
    following = events.follow()
    assert await anext(following) is None
    for _ in range(3):
        events.tell(Topic.DOCUMENTS, "reviews.yaml")
    events.tell(Topic.SOURCES)
    assert await anext(following) == {Topic.DOCUMENTS: {"reviews.yaml"}, Topic.SOURCES: frozenset()}
    for number in range(1000):
        events.tell(Topic.PROXIES, f"edge-{number}")
    assert await anext(following) == {Topic.PROXIES: frozenset()}
    waiting = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_who_comes_back_is_told_of_what_it_missed() -> None:
    events = Events()
    left_at = events.position
    same = events.follow(left_at)
    await anext(same)
    waiting = asyncio.ensure_future(anext(same))
    await asyncio.sleep(0)
    assert not waiting.done(), "nothing was missed"
    waiting.cancel()
    events.tell(Topic.DOCUMENTS, "reviews.yaml")
    for since in (left_at, Events().position, "made up"):
        back = events.follow(since)
        await anext(back)
        events.tell(Topic.PROXIES, "edge-1")
        assert await anext(back) == dict.fromkeys(Topic, frozenset())


def test_a_token_is_random_and_kept_as_a_hash() -> None:
    (one, hashed), (other, _) = new_token(), new_token()
    assert one != other
    assert one not in hashed
    assert len(hashed) == 64
