"""What an operator sets of the HTTP port: who may use the dashboard and the API."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from xds.settings.section import IpAddress, NonEmpty, Section, Tls

_SHORTEST_SECRET = 16


def _url(text: str) -> str:
    parts = urlsplit(text)
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{text!r} is no URL such as https://login.example.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError(f"{text!r} must begin with https://, unless it is an address of this machine")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_url(text: str) -> str:
    if urlsplit(_url(text)).path not in {"", "/"}:
        raise ValueError(
            f"{text!r} has a path; it is where browsers reach this port, such as https://gray.example.com"
        )
    return text.rstrip("/")


class ApiToken(Section):
    """A token that the HTTP API accepts, by the hash of its text; `grayplane token` makes both."""

    name: NonEmpty
    role: Literal["viewer", "operator"]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class OidcRole(Section):
    """Who has a value in a claim has a role (``xds.http.oidc.RoleRule``)."""

    claim: NonEmpty
    value: NonEmpty
    role: Literal["viewer", "operator"]


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


class Oidc(Section):
    """An OpenID Connect provider whose people may use dashboard and API; none without ``issuer``."""

    issuer: Annotated[str, AfterValidator(_url)] | None = None
    client_id: NonEmpty | None = None
    client_secret: SecretStr | None = None
    url: Annotated[str, AfterValidator(_own_url)] | None = None
    audience: NonEmpty | None = None
    roles: tuple[OidcRole, ...] = ()
    name_claim: NonEmpty | None = None
    scopes: tuple[NonEmpty, ...] = ("openid", "profile")
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    session: Annotated[float, Field(ge=60, le=7 * 86400)] = 8 * 3600.0
    ca: Path | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.issuer is None:
            defaults = {name: field.default for name, field in Oidc.model_fields.items()}
            if given := [name for name, default in defaults.items() if getattr(self, name) != default]:
                raise ValueError(f"{given[0]} is set and issuer is not")
            return self
        for name in ("client_id", "url"):
            if getattr(self, name) is None:
                raise ValueError(f"with issuer, set {name}, too")
        if not self.roles:
            raise ValueError("with issuer, set roles: nobody would have one")
        if self.client_secret and len(self.client_secret.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(
                f"client_secret has less than {_SHORTEST_SECRET} characters; it protects sessions, too"
            )
        if "openid" not in self.scopes:
            raise ValueError("scopes must have openid")
        return self


class HttpLimits(Section):
    """What connections to the HTTP port may take (``xds.http.connections``). Times in seconds."""

    connections: Annotated[int, Field(ge=8)] = 512
    receive: Annotated[float, Field(gt=0)] = 30.0
    send: Annotated[float, Field(gt=0)] = 60.0
    body_bytes: Annotated[int, Field(ge=1024)] = 12 << 20


class HttpTls(Tls):
    """With ``client_ca``, clients may show a certificate that one of its authorities signed.

    REST discovery is by it then, as ``xds.grants`` say; API and dashboard are by tokens all the same.
    """

    client_ca: Path | None = None


class Http(Section):
    """Where Grayplane says how it stands: API, dashboard, metrics, REST-JSON discovery. Port 0: a free one.

    Without ``tokens`` and ``oidc`` the API answers this machine alone, if ``address`` is a loopback address;
    if not, nobody.
    """

    address: IpAddress = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 18080
    tls: HttpTls | None = None
    tokens: tuple[ApiToken, ...] = ()
    oidc: Oidc = Oidc()
    limits: HttpLimits = HttpLimits()

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        for field in ("name", "sha256"):
            values = [getattr(token, field) for token in self.tokens]
            if twice := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"two tokens have the {field} {min(twice)}")
        return self
