"""An OpenID Connect provider: what it says of itself, its keys, and the tokens that it signed.

Specifications: OpenID Connect Discovery 1.0, RFC 7517 (keys), RFC 7519 (tokens). What is known of the
provider is kept while it cannot be reached: tokens that known keys signed are accepted all the same.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from xds.http.oidc.client import Client

_log = structlog.get_logger(__name__)

_TIMEOUT = 5.0  # seconds, of one request
_REFRESH = 600.0  # seconds after which keys are fetched again: one that was taken back is not used for ever
_RETRY = 10.0  # seconds between two attempts: neither an outage nor made-up key ids make a flood of requests
_LARGEST_ANSWER = 1 << 20
_LONGEST_TOKEN = 16 << 10
_LEEWAY = 60  # seconds that clocks may differ
_KEY_TYPES = frozenset({"RSA", "EC", "OKP"})  # those with a public part: a shared secret proves nothing


class ProviderError(Exception):
    """The provider cannot be reached, or answers what it must not; the message says which."""


class TokenError(Exception):
    """A token is not accepted; the message says why to who sent it."""


class Metadata(NamedTuple):
    """What a provider says of itself.

    ``end_session`` is where browsers log out there, if it has that. ``secret_in_body``: it does not take the
    client's secret in a header.
    """

    authorization: str
    token: str
    keys: str
    end_session: str | None
    secret_in_body: bool


class Verified(NamedTuple):
    """A token whose signature, issuer, audience and times are right."""

    header: Mapping[str, Any]
    claims: dict[str, Any]


class Provider:
    """A provider and what is known of it. ``run`` keeps it current.

    Making one raises ``OSError`` if ``client.ca`` cannot be used.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._tls = ssl.create_default_context(cafile=client.ca)
        self._registry = JWSRegistry(algorithms=list(client.algorithms), strict_check_header=False)
        # What the provider last said, None if it never did. Written by ``_ask``, as are the keys.
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        # When keys were last asked for, by the monotonic clock. Written by ``_refresh``.
        self._asked = float("-inf")
        # Why the last attempt failed, None if it did not. Written by ``_refresh``.
        self._trouble: str | None = None
        # Held while the provider is asked.
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Keep metadata and keys current, until cancelled."""
        while True:
            try:
                await self._refresh(_RETRY)
            except ProviderError:
                await asyncio.sleep(_RETRY)
            else:
                await asyncio.sleep(_REFRESH)

    async def metadata(self) -> Metadata:
        """Return what the provider says of itself. Raise ``ProviderError`` if it never could be asked."""
        if self._metadata is None:
            await self._refresh(_RETRY)
        assert self._metadata is not None
        return self._metadata

    async def reachable(self) -> Metadata:
        """Return the same, and raise ``ProviderError`` if the provider cannot be reached now."""
        await self._refresh(_RETRY)
        return await self.metadata()

    async def verify(self, token: str, audience: str) -> Verified:
        """Check a signed token for ``audience``.

        Raise ``TokenError`` if it is not accepted, ``ProviderError`` if it cannot be known.
        """
        if len(token) > _LONGEST_TOKEN:
            raise TokenError("this token is too long")
        if self._keys is None:
            await self._refresh(_RETRY)
        try:
            try:
                decoded = self._decode(token)
            except InvalidKeyIdError:  # the provider may have a new key
                await self._refresh_for_new_key()
                decoded = self._decode(token)
            claims = JWTClaimsRegistry(
                leeway=_LEEWAY,
                iss={"essential": True, "value": self.client.issuer},
                aud={"essential": True, "value": audience},
                exp={"essential": True},
                sub={"essential": True},
            )
            claims.validate(decoded.claims)
        except (JoseError, ValueError) as error:
            raise TokenError(f"this token is not accepted: {error}") from error
        return Verified(decoded.header, decoded.claims)

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Send a form; return status and JSON. Raise ``ProviderError``."""
        async with self._session() as session:
            return await self._json(session, "POST", url, data=body, headers=dict(headers))

    def _decode(self, token: str) -> jwt.Token:
        assert self._keys is not None
        return jwt.decode(token, self._keys, registry=self._registry)

    async def _refresh_for_new_key(self) -> None:
        with suppress(ProviderError):  # it is logged; the known keys are all there are
            await self._refresh(_RETRY)

    async def _refresh(self, not_within: float) -> None:
        """Ask the provider, unless that was done within some seconds. Raise ``ProviderError``."""
        async with self._one_at_a_time:
            if time.monotonic() - self._asked >= not_within:
                self._asked = time.monotonic()
                trouble = await self._ask()
                if trouble and trouble != self._trouble:
                    _log.warning(
                        "the OpenID provider cannot be asked", issuer=self.client.issuer, why=trouble
                    )
                self._trouble = trouble
            if self._trouble is not None:
                raise ProviderError(self._trouble)

    async def _ask(self) -> str | None:
        """Fetch metadata and keys; return why that did not work."""
        url = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            async with self._session() as session:
                _, found = await self._json(session, "GET", url)
                metadata = _metadata(found, self.client.issuer)
                _, keys = await self._json(session, "GET", metadata.keys)
                self._keys = _key_set(keys)
                self._metadata = metadata
        except ProviderError as error:
            return str(error)
        return None

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
            trust_env=True,
        )

    async def _json(
        self, session: aiohttp.ClientSession, method: str, url: str, **more: Any
    ) -> tuple[int, Any]:
        try:
            async with session.request(method, url, allow_redirects=False, **more) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > _LARGEST_ANSWER:
                        raise ProviderError(f"{url} answers more than {_LARGEST_ANSWER} bytes")
                if method == "GET" and answer.status != 200:
                    raise ProviderError(f"{url} answers {answer.status}")
                return answer.status, _parsed(url, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderError(f"{url} cannot be reached: {error or type(error).__name__}") from error


def _parsed(url: str, body: bytes | bytearray) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise ProviderError(f"{url} answers no JSON") from error


def _metadata(found: Any, issuer: str) -> Metadata:
    if not isinstance(found, Mapping) or found.get("issuer") != issuer:
        said = found.get("issuer") if isinstance(found, Mapping) else None
        raise ProviderError(f"the provider says that it is {said!r}, and http.oidc.issuer is {issuer!r}")
    scheme = urlsplit(issuer).scheme

    def url(name: str) -> str:
        value = found.get(name)
        if not isinstance(value, str) or urlsplit(value).scheme not in {"https", scheme}:
            raise ProviderError(f"the provider's {name} is {value!r}, no {scheme} URL")
        return value

    end = url("end_session_endpoint") if found.get("end_session_endpoint") else None
    methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        authorization=url("authorization_endpoint"),
        token=url("token_endpoint"),
        keys=url("jwks_uri"),
        end_session=end,
        secret_in_body="client_secret_basic" not in methods and "client_secret_post" in methods,
    )


def _key_set(found: Any) -> KeySet:
    keys = found.get("keys") if isinstance(found, Mapping) else None
    usable: list[Any] = [
        key
        for key in keys or ()
        if isinstance(key, Mapping) and key.get("kty") in _KEY_TYPES and key.get("use", "sig") == "sig"
    ]
    try:
        return KeySet.import_key_set({"keys": usable})
    except (JoseError, ValueError, KeyError) as error:
        raise ProviderError(f"the provider has no key that can be used: {error}") from error
