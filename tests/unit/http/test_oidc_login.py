"""Logins of a real OpenID Connect provider, and what attackers make of them."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.responses import Response

from tests.harness.oidc_provider import SECRET
from tests.harness.oidc_world import Browser, World, running
from xds.http.access import Account, Role
from xds.http.oidc import Sessions


def test_a_browser_logs_in_and_out(world: World) -> None:
    browser = Browser(world)
    at_provider = browser.at_provider("#/service/reviews")
    asked = parse_qs(urlsplit(at_provider).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked.keys() >= {"state", "nonce", "code_challenge"}
    answer = browser.client.get(browser.log_in(at_provider))
    assert answer.headers["location"] == "/dashboard/#/service/reviews"
    cookie = browser.cookie(answer, "grayplane-session")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert browser.client.get("api/v1/caller").json() == {
        "name": "alice",
        "role": "operator",
        "inSession": True,
        "login": "/auth/login",
    }
    stolen = dict(browser.client.cookies)
    own = {"origin": world.site.url.rstrip("/")}
    assert browser.client.post("auth/logout").status_code == 403
    out = browser.client.post("auth/logout", headers=own)
    assert out.json()["location"].startswith(f"{world.provider.issuer}/logout?")
    assert browser.client.get("api/v1/caller").status_code == 401
    assert httpx.get(f"{world.site.url}api/v1/caller", cookies=stolen, trust_env=False).status_code == 401


def test_a_provider_may_take_the_secret_in_the_body_alone(world: World) -> None:
    world.provider.takes_secret = "client_secret_post"
    browser = Browser(world)
    assert browser.client.get(browser.log_in(browser.at_provider())).status_code == 303


def test_a_public_client_has_no_secret() -> None:
    with running(client_secret=None) as world:
        world.provider.takes_secret = "none"
        browser = Browser(world)
        assert browser.client.get(browser.log_in(browser.at_provider())).status_code == 303
        assert browser.client.get("api/v1/caller").json()["name"] == "alice"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("own", 204), (None, 403), ("null", 403), ("http://evil.example", 403), ("http://127.0.0.1:1", 403)],
)
def test_only_our_own_page_changes_something_in_a_session(
    world: World, origin: str | None, status: int
) -> None:
    browser = Browser(world)
    browser.client.get(browser.log_in(browser.at_provider()))
    headers = {} if origin is None else {"origin": world.site.url.rstrip("/") if origin == "own" else origin}
    answer = browser.client.post("api/v1/rollouts/reviews/pause", json={"reason": "lunch"}, headers=headers)
    assert answer.status_code == status, answer.text
    assert world.site.backend.acted == ([("pause", "alice", "lunch")] if status == 204 else [])


def test_a_viewer_who_logged_in_changes_nothing(world: World) -> None:
    browser = Browser(world)
    browser.client.get(browser.log_in(browser.at_provider(), "bob"))
    own = {"origin": world.site.url.rstrip("/")}
    answer = browser.client.post("api/v1/rollouts/reviews/pause", json={}, headers=own)
    assert answer.status_code == 403
    assert [entry.who for entry in world.site.audit.entries] == ["bob"]


def replaced(url: str, **values: str) -> str:
    for name, value in values.items():
        url = re.sub(f"(?<=[?&]{name}=)[^&]*", value, url)
    return url


REFUSED: dict[str, tuple[Callable[[Browser], str], int, str]] = {
    "somebody without a role": (lambda it: it.log_in(it.at_provider(), "eve"), 403, "eve has no role"),
    "who cancels": (lambda it: it.log_in(it.at_provider(), deny="1"), 403, "access_denied"),
    "a state that another browser began": (
        lambda it: Browser(it.world).log_in(Browser(it.world).at_provider()),
        403,
        "began no such login",
    ),
    "a state of an attacker": (
        lambda it: replaced(it.log_in(it.at_provider()), state="x"),
        403,
        "began no such login",
    ),
    "a nonce of another login": (
        lambda it: it.log_in(replaced(it.at_provider(), nonce="x")),
        403,
        "nonce",
    ),
    "a code challenge of another login": (
        lambda it: it.log_in(replaced(it.at_provider(), code_challenge="x" * 43)),
        403,
        "invalid_grant",
    ),
    "a made-up code": (lambda it: replaced(it.log_in(it.at_provider()), code="x"), 403, "invalid_grant"),
    "an answer of another provider": (
        lambda it: it.log_in(it.at_provider()) + "&iss=https%3A%2F%2Fevil.example",
        403,
        "not of",
    ),
    "markup in an error": (
        lambda it: re.sub("code=[^&]*", "error=<script>alert(1)</script>", it.log_in(it.at_provider())),
        403,
        "&lt;script&gt;",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_login_that_is_not_right_begins_no_session(shared: World, case: str) -> None:
    make, status, words = REFUSED[case]
    browser = Browser(shared)
    answer = browser.client.get(make(browser))
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert "<script>" not in answer.text
    assert not any("session" in each for each in answer.headers.get_list("set-cookie"))
    assert browser.client.get("api/v1/caller").status_code == 401


@pytest.mark.parametrize("tampered", [{"iss": "https://evil.example"}, {"aud": "other"}, {"exp": 1}])
def test_an_id_token_must_be_for_us(world: World, tampered: dict[str, Any]) -> None:
    world.provider.tamper = tampered
    browser = Browser(world)
    assert browser.client.get(browser.log_in(browser.at_provider())).status_code == 403


def test_a_code_is_taken_once(shared: World) -> None:
    browser = Browser(shared)
    begun = browser.at_provider()
    cookies = dict(browser.client.cookies)
    back = browser.log_in(begun)
    assert browser.client.get(back).status_code == 303
    browser.client.cookies.update(cookies)
    assert browser.client.get(back).status_code == 403


@pytest.mark.parametrize(
    "to",
    ["//evil.example", "https://evil.example", "#/a\r\nset-cookie: x=y", "/\\evil.example", "javascript:1"],
)
def test_a_login_leads_to_our_own_page_alone(shared: World, to: str) -> None:
    browser = Browser(shared)
    answer = browser.client.get(browser.log_in(browser.at_provider(to)))
    assert answer.headers["location"] == "/dashboard/"


@pytest.mark.parametrize("cookie", ["", "x", "gAAAAA", "gAAAAABh" + "A" * 200])
def test_a_made_up_cookie_is_no_session(shared: World, cookie: str) -> None:
    client = shared.client(cookie=f"grayplane-session={cookie}")
    assert client.get("api/v1/caller").status_code == 401


def test_a_session_ends_by_itself_and_replicas_with_the_same_secret_know_it() -> None:
    now = 1_000_000.0
    one, other, stranger = (
        Sessions(secret, 3600, secure=True, clock=lambda: now) for secret in (SECRET, SECRET, None)
    )
    answer = Response()
    one.begin(answer, Account("alice", Role.VIEWER))
    [cookie] = answer.headers.getlist("set-cookie")
    assert re.fullmatch(
        r"__Host-grayplane-session=[^;]+; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict; Secure", cookie
    )
    cookies = {"__Host-grayplane-session": cookie.partition("=")[2].partition(";")[0]}
    assert one.account(cookies) == other.account(cookies) == ("alice", "viewer")
    assert stranger.account(cookies) is None
    now += 3601
    assert one.account(cookies) is None
