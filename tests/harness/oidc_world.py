"""A Grayplane that trusts a real OpenID Connect provider, and a browser that logs in."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.harness.api_backend import SampleBackend
from tests.harness.api_site import Site
from tests.harness.oidc_provider import AUDIENCE, CLIENT, SECRET, OidcProvider
from tests.harness.ports import free_ports
from xds.composition.oidc import oidc_of
from xds.http.oidc import provider
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
