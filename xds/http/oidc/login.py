"""Login of browsers by the authorisation code flow with PKCE (OpenID Connect Core 1.0, RFCs 7636, 9207)."""

import html
import re
from collections.abc import Sequence

import structlog
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from xds.http.access import Account
from xds.http.oidc.accounts import refuse_other_origins
from xds.http.oidc.provider import Provider, ProviderError, TokenError, Verified
from xds.http.oidc.sessions import Login, Sessions
from xds.http.problem import ProblemError, on_problem

_log = structlog.get_logger("audit")

_DASHBOARD = "/dashboard/"
_VIEW = re.compile(r"#/[^\s\\]{0,500}")
"""A view of the dashboard: what may follow its path after a login."""

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Grayplane</title>
<link rel="stylesheet" href="/dashboard/style.css">
<main><h1>No login</h1><p class="error" role="alert">{why}</p><p><a href="{again}">Log in again</a></p></main>
</html>
"""


def login_routes(provider: Provider, sessions: Sessions) -> Sequence[BaseRoute]:
    """Return the paths below ``/auth``."""
    pages = _Pages(provider, sessions)
    return [
        Route("/auth/login", pages.login),
        Route("/auth/callback", pages.callback),
        Route("/auth/logout", pages.logout, methods=["POST"]),
    ]


class _RefusedError(Exception):
    """A login comes to nothing; the message says why to who wanted to log in."""


class _Pages:
    def __init__(self, provider: Provider, sessions: Sessions) -> None:
        self._provider = provider
        self._client = provider.client
        self._sessions = sessions

    async def login(self, request: Request) -> Response:
        """Send a browser to the provider."""
        to = request.query_params.get("to", "")
        try:
            metadata = await self._provider.reachable()
        except ProviderError as error:
            return _failed(503, str(error))
        response = RedirectResponse(metadata.authorization, 303)
        login = self._sessions.begin_login(response, to if _VIEW.fullmatch(to) else "")
        response.headers["location"] = prepare_grant_uri(
            metadata.authorization,
            client_id=self._client.client_id,
            response_type="code",
            redirect_uri=self._client.callback,
            scope=" ".join(self._client.scopes),
            state=login.state,
            nonce=login.nonce,
            code_challenge=create_s256_code_challenge(login.verifier),  # type: ignore[no-untyped-call]  # no stubs
            code_challenge_method="S256",
        )
        response.headers["cache-control"] = "no-store"
        return response

    async def callback(self, request: Request) -> Response:
        """Take what the provider sends a browser back with, and begin a session."""
        login = self._sessions.login(request.cookies)
        try:
            account = await self._account(request, login)
        except _RefusedError as error:
            return _failed(403, str(error))
        except ProviderError as error:
            return _failed(503, str(error))
        _log.info("login", who=account.name, role=str(account.role), address=_address(request))
        response = RedirectResponse(_DASHBOARD + (login.to if login else ""), 303)
        response.headers["cache-control"] = "no-store"
        self._sessions.end_login(response)
        self._sessions.begin(response, account)
        return response

    async def logout(self, request: Request) -> Response:
        """End the session of a browser; answer where it logs out at the provider, too."""
        try:
            refuse_other_origins(request.headers, self._client.origin)
        except ProblemError as error:
            return await on_problem(request, error)
        account = self._sessions.account(request.cookies)
        response = JSONResponse({"location": await self._end_session()})
        response.headers["cache-control"] = "no-store"
        self._sessions.end(response, request.cookies)
        if account:
            _log.info("logout", who=account.name, address=_address(request))
        return response

    async def _account(self, request: Request, login: Login | None) -> Account:
        sent = request.query_params
        if login is None or sent.get("state") != login.state:
            raise _RefusedError("this browser began no such login within the last ten minutes")
        if (issuer := sent.get("iss")) is not None and issuer != self._client.issuer:
            raise _RefusedError(f"the answer is one of {issuer}, not of {self._client.issuer}")
        if error := sent.get("error"):
            raise _RefusedError(f"the provider refuses: {error} {sent.get('error_description', '')}".strip())
        tokens = await self._redeem(sent.get("code", ""), login)
        claims = (await self._id_token(tokens, login)).claims
        account = self._client.account(claims)
        if account is None:
            name = self._client.name(claims)
            _log.warning("login refused", who=name, why="no role", address=_address(request))
            raise _RefusedError(f"{name} has no role here; an operator sets roles in http.oidc.roles")
        return account

    async def _redeem(self, code: str, login: Login) -> dict[str, object]:
        """Exchange an authorisation code for tokens."""
        metadata = await self._provider.metadata()
        body = prepare_token_request(
            "authorization_code", redirect_uri=self._client.callback, code=code, code_verifier=login.verifier
        )
        secret = self._client.client_secret
        in_body = "client_secret_post" if metadata.secret_in_body else "client_secret_basic"
        method = "none" if secret is None else in_body
        authentication = ClientAuth(self._client.client_id, secret, method)
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        url, headers, body = authentication.prepare("POST", metadata.token, headers, body)  # type: ignore[no-untyped-call]  # no stubs
        status, tokens = await self._provider.post(url, body, headers)
        if status != 200 or not isinstance(tokens, dict):
            said = tokens.get("error") if isinstance(tokens, dict) else None
            raise _RefusedError(f"the provider does not take the code: {said or status}")
        return tokens

    async def _id_token(self, tokens: dict[str, object], login: Login) -> Verified:
        try:
            verified = await self._provider.verify(str(tokens.get("id_token", "")), self._client.client_id)
            CodeIDToken(
                verified.claims,
                verified.header,
                params={
                    "nonce": login.nonce,
                    "client_id": self._client.client_id,
                    "access_token": tokens.get("access_token"),
                },
            ).validate(leeway=60)
        except (TokenError, JoseError) as error:
            raise _RefusedError(str(error)) from error
        return verified

    async def _end_session(self) -> str | None:
        try:
            end = (await self._provider.metadata()).end_session
        except ProviderError:
            return None
        if end is None:
            return None
        back = {
            "client_id": self._client.client_id,
            "post_logout_redirect_uri": self._client.url + _DASHBOARD,
        }
        return str(add_params_to_uri(end, back))


def _failed(status: int, why: str) -> Response:
    page = _PAGE.format(why=html.escape(why[:1000]), again="/auth/login")
    return HTMLResponse(page, status, headers={"cache-control": "no-store"})


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
