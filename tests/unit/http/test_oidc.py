"""Access tokens of a real OpenID Connect provider, what attackers make of them, and roles by claims."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from tests.harness.api_backend import SampleBackend
from tests.harness.api_site import Site
from tests.harness.oidc_provider import AUDIENCE, OidcProvider
from tests.harness.oidc_world import World, settings
from xds.composition.oidc import oidc_of
from xds.errors import StartError
from xds.http.access import Role
from xds.http.oidc import Client, RoleRule, provider


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
    assert client.account(CLAIMS) == (("a@example.com", Role.VIEWER) if has else None)


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
