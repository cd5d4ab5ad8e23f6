"""Who may use the HTTP API: bearer tokens with roles; without tokens, this machine alone."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from starlette.datastructures import Headers

from xds.http.problem import ProblemError

_SCHEME = "bearer "
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="grayplane"'}
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(StrEnum):
    """What a caller may do."""

    VIEWER = "viewer"
    """Read everything; ask what a rule would do."""
    OPERATOR = "operator"
    """Act on rollouts and publish documents, too."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    name: str
    role: Role
    address: str


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
    text = f"gp_{secrets.token_urlsafe(32)}"
    return text, digest(text)


def digest(text: str) -> str:
    """The hash of a token. Tokens are random and long, so that one round of SHA-256 will do."""
    return hashlib.sha256(text.encode()).hexdigest()


class Access:
    """Decides on requests.

    ``loopback`` says whether the port is bound to this machine alone. Then, and only then, no tokens means
    that every local program may do everything. A page in a browser on this machine may not: without tokens
    the ``Host`` must be this machine (DNS rebinding), and a change must not come from another origin (CSRF).
    With tokens neither is possible: browsers add no token by themselves, for there are no cookies.
    """

    def __init__(self, tokens: Sequence[Token], *, loopback: bool) -> None:
        self._tokens: Mapping[str, Token] = {token.sha256: token for token in tokens}
        self._loopback = loopback

    @property
    def needs_token(self) -> bool:
        """Whether callers must have a token."""
        return bool(self._tokens) or not self._loopback

    def caller(self, method: str, headers: Headers, address: str) -> Caller:
        """Say who sends a request. Raise ``ProblemError`` if that may not be answered."""
        if self._tokens:
            return self._by_token(headers.get("authorization", ""), address)
        if not self._loopback:
            detail = "no tokens are set: make one by `grayplane token`, or bind http.address to 127.0.0.1"
            raise ProblemError(403, detail)
        _refuse_foreign_pages(method, headers)
        return Caller("local", Role.OPERATOR, address)

    def _by_token(self, authorization: str, address: str) -> Caller:
        if not authorization.lower().startswith(_SCHEME):
            raise ProblemError(401, "send a token: Authorization: Bearer gp_…", headers=_CHALLENGE)
        hashed = digest(authorization[len(_SCHEME) :].strip())
        token = self._tokens.get(hashed)
        if token is None or not hmac.compare_digest(token.sha256, hashed):
            raise ProblemError(401, "this token is not known", headers=_CHALLENGE)
        return Caller(token.name, token.role, address)


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
    if method in _READING:
        return
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise ProblemError(403, f"a page of {origin} may not change anything here")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
