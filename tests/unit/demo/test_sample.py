import httpx
import pytest

from xds.demo.sample import Service, application


def service(monkeypatch: pytest.MonkeyPatch, upstream: str | None = None) -> Service:
    environment = {"SERVICE_NAME": "reviews", "SERVICE_VERSION": "v2", "SERVICE_PORT": "9102"}
    for name, value in (environment | ({"UPSTREAM": upstream} if upstream else {})).items():
        monkeypatch.setenv(name, value)
    return Service()


def asking(service: Service, upstream: httpx.MockTransport | None = None) -> httpx.AsyncClient:
    app = application(service, httpx.AsyncClient(transport=upstream))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://reviews.example.com")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_it_answers_who_it_is_and_what_it_was_asked(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async with asking(service(monkeypatch)) as client:
        said = (await client.request(method, "/a/b?c=d", headers={"X-User-Id": "alice"})).json()
    assert said["headers"].items() >= {"x-user-id": "alice", "host": "reviews.example.com"}.items()
    del said["headers"]
    assert said == {"service": "reviews", "version": "v2", "instance": "127.0.0.1:9102", "path": "/a/b"}


async def test_a_call_upstream_carries_what_rules_match_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def ratings(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://ratings/"
        return httpx.Response(200, json={"asked with": {**request.headers}})

    headers = {"x-user-id": "alice", "cookie": "release=canary", "authorization": "secret"}
    transport = httpx.MockTransport(ratings)
    async with asking(service(monkeypatch, "http://ratings/"), transport) as client:
        said = (await client.get("/", headers=headers)).json()

    asked_with = said["upstream"]["asked with"]
    assert asked_with.items() >= {"x-user-id": "alice", "cookie": "release=canary"}.items()
    assert "authorization" not in asked_with


async def test_an_upstream_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(503))
    async with asking(service(monkeypatch, "http://ratings/"), transport) as client:
        said = (await client.get("/")).json()
    assert "503" in said["upstream"]["error"]


async def test_it_can_be_broken_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(service(monkeypatch)) as client:
        statuses = []
        for path in ("/break", "/mend"):
            await client.post(path)
            statuses.append((await client.get("/")).status_code)
    assert statuses == [500, 200]
