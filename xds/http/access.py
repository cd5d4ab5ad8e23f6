"""Who may use the HTTP API: bearer tokens with roles, people of an OpenID Connect provider; without either,
this machine alone.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from xds.http.problem import ProblemError

_SCHEME = "bearer "
_PREFIX = "gp_"  # of our own tokens
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="grayplane"'}
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""


class Role(StrEnum):
    """What a caller may do."""

    VIEWER = "viewer"
    """Read everything; ask what a rule would do."""
    OPERATOR = "operator"
    """Act on rollouts and publish documents, too."""


class Account(NamedTuple):
    """Somebody who is known, and what they may do."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; ``in_session`` says that it was a browser in which somebody is logged in."""

    name: str
    role: Role
    address: str
    in_session: bool = False


class Accounts(Protocol):
    """Whom an OpenID Connect provider knows (``xds.http.oidc``)."""

    login: str
    """Where browsers log in: a path of ours."""

    async def of_token(self, token: str) -> Account:
        """Return whose access token it is. Raise ``ProblemError`` if it is not accepted."""
        ...

    def of_session(self, method: str, headers: Headers, cookies: Mapping[str, str]) -> Account | None:
        """Return who is logged in in a browser. Raise ``ProblemError`` for a change from another page."""
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is accepted. ``sha256`` is the hexadecimal hash of its text: who reads the settings
    cannot use it.
    """

    name: str
    role: Role
    sha256: str


def new_token() -> tuple[str, str]:
    """Make a token; return its text and its hash."""
    text = _PREFIX + secrets.token_urlsafe(32)
    return text, digest(text)


def digest(text: str) -> str:
    """Return the hash of a token. Tokens are random and long, so one round of SHA-256 is enough."""
    return hashlib.sha256(text.encode()).hexdigest()


class Access:
    """Decides on requests.

    ``loopback`` says whether the port is bound to this machine alone. Then, and only then, no tokens and no
    ``accounts`` mean that every local program may do everything. A page in a browser on this machine may
    not: the ``Host`` must be this machine (DNS rebinding), and a change must not come from another origin
    (CSRF). With tokens neither is possible: browsers add none by themselves. The cookie of a session is sent
    by our own pages alone, and a change is made for one of ours alone.
    """

    def __init__(self, tokens: Sequence[Token], *, loopback: bool, accounts: Accounts | None = None) -> None:
        self._tokens: Mapping[str, Token] = {token.sha256: token for token in tokens}
        self._loopback = loopback
        self._accounts = accounts

    @property
    def login(self) -> str | None:
        """Where browsers log in; None if they cannot."""
        return self._accounts.login if self._accounts else None

    async def caller(self, method: str, headers: Headers, address: str) -> Caller:
        """Say who sends a request. Raise ``ProblemError`` if that may not be answered."""
        if self._tokens or self._accounts:
            return await self._known(method, headers, address)
        if not self._loopback:
            detail = "no tokens are set: make one by `grayplane token`, or bind http.address to 127.0.0.1"
            raise ProblemError(403, detail)
        _refuse_foreign_pages(method, headers)
        return Caller("local", Role.OPERATOR, address)

    async def _known(self, method: str, headers: Headers, address: str) -> Caller:
        authorization = headers.get("authorization", "")
        if authorization.lower().startswith(_SCHEME):
            return await self._by_token(authorization[len(_SCHEME) :].strip(), address)
        if self._accounts:
            cookies = cookie_parser(headers.get("cookie", ""))
            if found := self._accounts.of_session(method, headers, cookies):
                return Caller(found.name, found.role, address, in_session=True)
            detail = f"log in at {self._accounts.login}, or send a token: Authorization: Bearer …"
            raise ProblemError(401, detail, headers=_CHALLENGE, login=self._accounts.login)
        raise ProblemError(401, "send a token: Authorization: Bearer gp_…", headers=_CHALLENGE)

    async def _by_token(self, text: str, address: str) -> Caller:
        hashed = digest(text)
        token = self._tokens.get(hashed)
        if token is not None and hmac.compare_digest(token.sha256, hashed):
            return Caller(token.name, token.role, address)
        if self._accounts and not text.startswith(_PREFIX):
            return Caller(*await self._accounts.of_token(text), address)
        raise ProblemError(401, "this token is not known", headers=_CHALLENGE)


def require(caller: Caller, role: Role) -> None:
    """Raise ``ProblemError`` if a caller does not have a role."""
    if role is Role.OPERATOR and caller.role is not Role.OPERATOR:
        raise ProblemError(403, f"{caller.name} is a viewer; this takes the role operator")


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine alone."""
    return ipaddress.ip_address(address).is_loopback


def _refuse_foreign_pages(method: str, headers: Headers) -> None:
    host = headers.get("host", "")
    if _without_port(host) not in _LOCAL_NAMES:
        raise ProblemError(403, f"without tokens this is for local callers; Host is {host!r}")
    if method in READING:
        return
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise ProblemError(403, f"a page of {origin} may not change anything here")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
