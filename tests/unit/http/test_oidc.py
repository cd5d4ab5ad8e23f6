"""Access tokens and logins of a real OpenID Connect provider, and what attackers make of them."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import RSAKey
from pydantic import ValidationError
from starlette.responses import Response

from tests.harness.api_backend import SampleBackend
from tests.harness.api_site import Site
from tests.harness.oidc_provider import AUDIENCE, CLIENT, SECRET, OidcProvider
from tests.harness.ports import free_ports
from xds.errors import StartError
from xds.http.access import Identity, Role
from xds.http.oidc import Client, RoleRule, Sessions, provider
from xds.oidc_port import oidc_of
from xds.settings import Oidc

ROLES = [
    {"claim": "groups", "value": "platform", "role": "operator"},
    {"claim": "groups", "value": "staff", "role": "viewer"},
]


def settings(issuer: str, url: str, **more: Any) -> Oidc:
    given = {"audience": AUDIENCE, "client_id": CLIENT, "client_secret": SECRET, "roles": ROLES, **more}
    return Oidc.model_validate({"issuer": issuer, "url": url, **given})


@dataclass
class World:
    """A provider, and a Grayplane that trusts it. ``away`` takes the provider away."""

    provider: OidcProvider
    site: Site
    provider_runs: ExitStack
    clients: ExitStack

    def away(self) -> None:
        self.provider_runs.close()

    def client(self, **headers: str) -> httpx.Client:
        """Return a client that lasts for the test."""
        client = httpx.Client(base_url=self.site.url, headers=headers, trust_env=False, timeout=30)
        return self.clients.enter_context(client)

    def caller(self, token: str) -> httpx.Response:
        return self.client(authorization=f"Bearer {token}").get("api/v1/caller")


@contextmanager
def running(**more: Any) -> Iterator[World]:
    provider_port, port = free_ports(2)
    oidc_provider = OidcProvider(provider_port)
    url = f"http://127.0.0.1:{port}"
    oidc_provider.redirect_uris.add(f"{url}/auth/callback")
    with pytest.MonkeyPatch.context() as patched, ExitStack() as stack:
        patched.setattr(provider, "_RETRY", 0.0)
        provider_runs = stack.enter_context(ExitStack())
        provider_runs.enter_context(oidc_provider.running())
        parts = oidc_of(settings(oidc_provider.issuer, url, **more))
        site = stack.enter_context(Site(SampleBackend(), port=port, oidc=parts).running())
        yield World(oidc_provider, site, provider_runs, stack.enter_context(ExitStack()))


@pytest.fixture
def world() -> Iterator[World]:
    """A world of the test's own."""
    with running() as it:
        yield it


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """A world for tests that leave it as it is."""
    with running() as it:
        yield it


def encode(part: object) -> str:
    text = json.dumps(part).encode() if isinstance(part, Mapping) else part
    assert isinstance(text, bytes)
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.split(".")
    return json.loads(base64.urlsafe_b64decode(header + "==")), json.loads(
        base64.urlsafe_b64decode(claims + "==")
    )


def unsigned(it: OidcProvider) -> str:
    header, claims = parts_of(it.token())
    return f"{encode(header | {'alg': 'none'})}.{encode(claims)}."


def signed_with_the_public_key_as_a_secret(it: OidcProvider) -> str:
    header, claims = parts_of(it.token())
    text = f"{encode(header | {'alg': 'HS256'})}.{encode(claims)}"
    [key] = it.keys
    return f"{text}.{encode(hmac.digest(key.as_pem(private=False), text.encode(), hashlib.sha256))}"


def changed_after_signing(it: OidcProvider) -> str:
    header, claims, signature = it.token(groups=["staff"]).split(".")
    forged = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"groups": ["platform"]}
    return f"{header}.{encode(forged)}.{signature}"


def with_a_key_of_its_own(it: OidcProvider) -> str:
    key = RSAKey.generate_key(2048, auto_kid=True)
    return it.token(key, {"jwk": key.as_dict(private=False)})


def with_a_header_that_must_be_understood(it: OidcProvider) -> str:
    header, claims = parts_of(it.token())
    text = f"{encode(header | {'crit': ['x'], 'x': 1})}.{encode(claims)}"
    key = it.keys[0].private_key
    assert isinstance(key, RSAPrivateKey)
    return f"{text}.{encode(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def by_another_key_of_the_same_name(it: OidcProvider) -> str:
    key = RSAKey.generate_key(2048)
    return it.token(key, {"kid": it.keys[0].kid})


NOW = time.time()
ATTACKS: dict[str, tuple[Callable[[OidcProvider], str], int, str]] = {
    "expired": (lambda it: it.token(exp=int(NOW - 3600)), 401, "expired"),
    "not valid yet": (lambda it: it.token(nbf=int(NOW + 3600)), 401, ""),
    "without an end": (lambda it: it.token(exp=None), 401, "exp"),
    "for somebody else": (lambda it: it.token(aud="https://other.example.com"), 401, "aud"),
    "for nobody": (lambda it: it.token(aud=None), 401, "aud"),
    "of another issuer": (lambda it: it.token(iss="https://evil.example.com"), 401, "iss"),
    "of no issuer": (lambda it: it.token(iss=None), 401, "iss"),
    "unsigned": (unsigned, 401, ""),
    "signed with the public key as a secret": (signed_with_the_public_key_as_a_secret, 401, ""),
    "by another algorithm": (lambda it: it.token(header={"alg": "RS512"}), 401, ""),
    "changed after signing": (changed_after_signing, 401, ""),
    "by a key that it brings": (with_a_key_of_its_own, 401, ""),
    "by another key of the same name": (by_another_key_of_the_same_name, 401, ""),
    "with a header that must be understood": (with_a_header_that_must_be_understood, 401, ""),
    "an ID token": (lambda it: it.token(nonce="n"), 401, "ID token"),
    "endless": (lambda it: it.token(filler="x" * 20_000), 401, "too long"),
    "no token": (lambda _: "a.b.c", 401, ""),
    "one of ours that is not known": (lambda _: "gp_made-up", 401, "not known"),
    "of somebody without a role": (lambda it: it.token(groups=["guests"]), 403, "http.oidc.roles"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_no_good_token_is_refused(shared: World, attack: str) -> None:
    make, status, words = ATTACKS[attack]
    answer = shared.caller(make(shared.provider))
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({}, "operator"),
        ({"groups": ["staff"]}, "viewer"),
        ({"groups": "staff"}, "viewer"),
        ({"groups": ["staff", "platform"]}, "operator"),
        ({"aud": ["https://other.example.com", AUDIENCE]}, "operator"),
    ],
)
def test_a_good_token_has_the_role_of_its_claims(shared: World, claims: dict[str, Any], role: str) -> None:
    answer = shared.caller(shared.provider.token(**claims))
    assert answer.json() == {"name": "alice", "role": role, "inSession": False, "login": "/auth/login"}


def test_keys_rotate(world: World) -> None:
    old = world.provider.token()
    assert world.caller(old).status_code == 200
    world.provider.rotate()
    assert world.caller(world.provider.token()).status_code == 200
    assert world.caller(old).status_code == 200
    world.provider.rotate(forget=True)
    assert world.caller(world.provider.token()).status_code == 200
    assert world.caller(old).status_code == 401


def test_made_up_key_names_make_no_flood_of_requests(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.caller(world.provider.token()).status_code == 200
    monkeypatch.setattr(provider, "_RETRY", 3600.0)
    before = len(world.provider.asked)
    for number in range(20):
        world.caller(world.provider.token(header={"kid": str(number)}))
    assert len(world.provider.asked) == before


def test_without_the_provider_known_keys_go_on_and_a_login_is_told_why(world: World) -> None:
    assert world.caller(world.provider.token()).status_code == 200
    world.away()
    assert world.caller(world.provider.token()).status_code == 200
    world.provider.rotate()
    assert world.caller(world.provider.token()).status_code == 401
    answer = world.client().get("auth/login")
    assert answer.status_code == 503
    assert "cannot be reached" in answer.text


def test_a_provider_that_was_never_there_is_told_of(world: World) -> None:
    parts = oidc_of(settings("http://127.0.0.1:1", world.site.url))
    with Site(SampleBackend(), oidc=parts).running() as site, httpx.Client(trust_env=False) as client:
        headers = {"authorization": f"Bearer {world.provider.token()}"}
        answer = client.get(f"{site.url}api/v1/caller", headers=headers)
    assert answer.status_code == 503
    assert "http://127.0.0.1:1/.well-known/openid-configuration cannot be reached" in answer.json()["detail"]


class Browser:
    """What a browser does of a login, without the person in front of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = world.client()

    def at_provider(self, to: str = "") -> str:
        """Begin a login; return the URL that the provider gets."""
        answer = self.client.get("auth/login", params={"to": to})
        assert answer.status_code == 303
        return answer.headers["location"]

    def log_in(self, url: str, user: str = "alice", **more: str) -> str:
        """Log in at the provider; return where it sends the browser back to."""
        answer = self.client.post(url, data={"user": user, **more})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def cookie(self, answer: httpx.Response, name: str) -> str:
        return next(each for each in answer.headers.get_list("set-cookie") if each.startswith(name))


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
    one.begin(answer, Identity("alice", Role.VIEWER))
    [cookie] = answer.headers.getlist("set-cookie")
    assert re.fullmatch(
        r"__Host-grayplane-session=[^;]+; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict; Secure", cookie
    )
    cookies = {"__Host-grayplane-session": cookie.partition("=")[2].partition(";")[0]}
    assert one.identity(cookies) == other.identity(cookies) == ("alice", "viewer")
    assert stranger.identity(cookies) is None
    now += 3601
    assert one.identity(cookies) is None


CLAIMS = {
    "sub": "42",
    "email": "a@example.com",
    "realm_access": {"roles": ["gray-operators"]},
    "https://example.com/groups": ["x.y"],
    "level": 7,
}


@pytest.mark.parametrize(
    ("rule", "has"),
    [
        (("realm_access.roles", "gray-operators"), True),
        (("realm_access.roles", "gray-*"), True),
        (("realm_access.roles", "gray"), False),
        (("https://example.com/groups", "x.y"), True),
        (("email", "*@example.com"), True),
        (("email", "*@example.com.evil"), False),
        (("level", "7"), False),
        (("nothing.at.all", "*"), False),
        (("email.at", "*"), False),
    ],
)
def test_roles_by_claims(rule: tuple[str, str], *, has: bool) -> None:
    client = Client("https://i", "c", "https://u", [RoleRule(*rule, Role.VIEWER)])
    assert client.identity(CLAIMS) == (("a@example.com", Role.VIEWER) if has else None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"issuer": "http://login.example.com"}, "https://"),
        ({"url": "http://gray.example.com"}, "https://"),
        ({"url": "https://gray.example.com/path"}, "has a path"),
        ({"client_secret": "short"}, "less than 16"),
        ({"roles": []}, "nobody would have one"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"scopes": ["profile"]}, "openid"),
        ({"issuer": None}, "issuer is not"),
        ({"client_id": None}, "client_id"),
    ],
)
def test_settings_that_would_be_unsafe_or_of_no_use_are_refused(given: dict[str, Any], words: str) -> None:
    right = {"issuer": "https://login.example.com", "url": "https://gray.example.com"}
    with pytest.raises(ValidationError, match=re.escape(words)):
        settings(**(right | given))


def test_it_does_not_start_without_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StartError, match=re.escape("pip install 'grayplane[oidc]'")):
        oidc_of(settings("https://login.example.com", "https://gray.example.com"))
