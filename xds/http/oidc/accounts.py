"""Who sends a request, by an access token of the provider or by the session of a browser."""

from collections.abc import Mapping

from starlette.datastructures import Headers

from xds.http.access import READING, Account
from xds.http.oidc.provider import Provider, ProviderError, TokenError
from xds.http.oidc.sessions import Sessions
from xds.http.problem import ProblemError


class OidcAccounts:
    """Accounts of a provider (``xds.http.access.Accounts``)."""

    login = "/auth/login"
    """Where browsers log in."""

    def __init__(self, provider: Provider, sessions: Sessions) -> None:
        self._provider = provider
        self._sessions = sessions

    async def of_token(self, token: str) -> Account:
        """Return whose access token it is. Raise ``ProblemError`` if it is not accepted."""
        client = self._provider.client
        if client.audience is None:
            raise ProblemError(
                401, "tokens of the OpenID provider are not accepted: http.oidc.audience is unset"
            )
        try:
            claims = (await self._provider.verify(token, client.audience)).claims
        except TokenError as error:
            raise ProblemError(401, str(error)) from error
        except ProviderError as error:
            raise ProblemError(503, f"no token can be checked now: {error}") from error
        if "nonce" in claims:
            raise ProblemError(401, "this is an ID token, which tells who logged in; send an access token")
        account = client.account(claims)
        if account is None:
            raise ProblemError(403, f"{client.name(claims)} has no role here (http.oidc.roles)")
        return account

    def of_session(self, method: str, headers: Headers, cookies: Mapping[str, str]) -> Account | None:
        """Return who is logged in in a browser. Raise ``ProblemError`` for a change from another page."""
        account = self._sessions.account(cookies)
        if account is not None and method not in READING:
            refuse_other_origins(headers, self._provider.client.origin)
        return account


def refuse_other_origins(headers: Headers, own: str) -> None:
    """Raise ``ProblemError`` if a request that changes something does not come from our own page.

    Browsers say with each such request where it comes from.
    """
    origin = headers.get("origin")
    if origin != own:
        raise ProblemError(403, f"a page of {origin} may not change anything here; it takes one of {own}")
