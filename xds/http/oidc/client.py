"""What Grayplane is to an OpenID Connect provider, and which role its people have."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from xds.http.access import Account, Role

_LONGEST_NAME = 200
_FALLBACK_NAMES = ("preferred_username", "email", "sub")


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Who has one of some values in a claim has a role. ``*`` in ``value`` stands for any text.

    ``claim`` is the name of a claim, or the way to it with dots: ``realm_access.roles``.
    """

    claim: str
    value: str
    role: Role


@dataclass(frozen=True, slots=True)
class Client:
    """A registration at a provider.

    ``url`` is where browsers reach this server, without a path. ``audience`` is what access tokens for the
    API have to name as theirs; without it, no access token is accepted. Without ``client_secret`` it is a
    public client, which PKCE alone protects. ``session`` is for how long a login lasts, in seconds. ``ca`` is
    a file of authorities to trust instead of the system's.
    """

    issuer: str
    client_id: str
    url: str
    roles: Sequence[RoleRule]
    client_secret: str | None = None
    audience: str | None = None
    scopes: Sequence[str] = ("openid", "profile")
    algorithms: Sequence[str] = ("RS256", "ES256")
    name_claim: str | None = None
    session: float = 8 * 3600.0
    ca: Path | None = None

    @property
    def callback(self) -> str:
        """Where the provider sends browsers back to; it has to be registered there."""
        return f"{self.url}/auth/callback"

    @property
    def origin(self) -> str:
        """The origin of our own pages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def secure(self) -> bool:
        """Whether browsers reach us by HTTPS; if not, it is by a loopback address."""
        return self.url.startswith("https://")

    def account(self, claims: Mapping[str, object]) -> Account | None:
        """Return who has these claims; None if no rule gives a role."""
        found = {rule.role for rule in self.roles if _has(claims, rule)}
        if not found:
            return None
        role = Role.OPERATOR if Role.OPERATOR in found else Role.VIEWER
        return Account(self.name(claims), role)

    def name(self, claims: Mapping[str, object]) -> str:
        """Return the name of who has these claims, as people read it."""
        wanted = (self.name_claim,) if self.name_claim else _FALLBACK_NAMES
        names = (claims.get(each) for each in (*wanted, "sub"))
        return next((name for name in names if isinstance(name, str) and name), "")[:_LONGEST_NAME]


def _has(claims: Mapping[str, object], rule: RoleRule) -> bool:
    return any(fnmatch.fnmatchcase(value, rule.value) for value in _values(claims, rule.claim))


def _values(claims: Mapping[str, object], claim: str) -> Iterator[str]:
    found: object = claims.get(claim)
    if found is None:
        found = claims
        for step in claim.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    for value in found if isinstance(found, list) else [found]:
        if isinstance(value, str):
            yield value
