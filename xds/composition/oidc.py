"""Composition of the login by an OpenID Connect provider. Nothing of it is loaded unless it is set."""

import importlib.util
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import BaseRoute

from xds.errors import MissingExtraError, StartError
from xds.http.access import Accounts, Role
from xds.settings import Oidc


@dataclass(frozen=True, slots=True)
class OidcParts:
    """What the HTTP port has for it. ``run`` keeps what is known of the provider current."""

    accounts: Accounts
    routes: Sequence[BaseRoute]
    run: Callable[[], Coroutine[Any, Any, None]]


def oidc_of(settings: Oidc) -> OidcParts | None:
    """Return the parts for some settings; None if no provider is set.

    Raise ``StartError`` if its libraries are not installed or its authorities cannot be read.
    """
    if settings.issuer is None:
        return None
    if importlib.util.find_spec("authlib") is None or importlib.util.find_spec("joserfc") is None:
        raise MissingExtraError("http.oidc", "oidc")
    from xds.http import oidc  # noqa: PLC0415  # half a dozen modules that others need not load

    assert settings.client_id is not None
    assert settings.url is not None
    secret = settings.client_secret.get_secret_value() if settings.client_secret else None
    client = oidc.Client(
        issuer=settings.issuer,
        client_id=settings.client_id,
        client_secret=secret,
        url=settings.url,
        audience=settings.audience,
        roles=[oidc.RoleRule(rule.claim, rule.value, Role(rule.role)) for rule in settings.roles],
        scopes=settings.scopes,
        algorithms=settings.algorithms,
        name_claim=settings.name_claim,
        session=settings.session,
        ca=settings.ca,
    )
    try:
        provider = oidc.Provider(client)
    except OSError as error:
        raise StartError(f"http.oidc.ca: {settings.ca}: {error}") from error
    sessions = oidc.Sessions(secret, client.session, secure=client.secure)
    return OidcParts(
        oidc.OidcAccounts(provider, sessions), oidc.login_routes(provider, sessions), provider.run
    )
