"""Who we are to Nacos: the headers that a request carries."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable

from pydantic import BaseModel, Field

from xds.sources.nacos.errors import NacosError, RefusedError, UnreachableError
from xds.sources.nacos.http import Http
from xds.sources.nacos.settings import NacosSettings

_LOGIN_PATHS = ("/v3/auth/user/login", "/v1/auth/users/login")
_REFRESH_AT = 0.8
"""The share of its lifetime after which a token is replaced."""

_RETRY = 5.0
_LONGEST_RETRY = 60.0
"""Seconds between logins that fail: servers lock out whom they see too often."""


class _Login(BaseModel):
    access_token: str = Field(alias="accessToken")
    token_ttl: float = Field(alias="tokenTtl")


class Credentials:
    """Logs in when there is a user, and signs when there is an access key.

    The SDK could log in too, but puts the password into the URL and the token into its log.
    """

    def __init__(self, settings: NacosSettings, http: Http) -> None:
        self._settings = settings
        self._http = http
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._retry_at = 0.0
        self._retry = _RETRY
        self._failure: NacosError | None = None

    async def for_config(self) -> dict[str, str]:
        """Headers for a request about the group of rules."""
        resource = "+".join(filter(None, (self._settings.config_tenant, self._settings.rules_group)))
        return await self._token_headers() | self._sign(_config_signature, resource)

    async def for_naming(self, service: str = "") -> dict[str, str]:
        """Headers for a request about a service of the group."""
        resource = f"{self._settings.naming_group}@@{service}"
        return await self._token_headers() | self._sign(_naming_signature, resource)

    def refused(self) -> None:
        """The server did not accept the headers: log in anew, for it may have forgotten the token."""
        self._renew_at = 0.0

    def _sign(
        self, signature: Callable[[str, str, str, str], dict[str, str]], resource: str
    ) -> dict[str, str]:
        if not self._settings.access_key or not self._settings.secret_key:
            return {}
        now = str(int(time.time() * 1000))
        return signature(self._settings.access_key, self._settings.secret_key, resource, now)

    async def _token_headers(self) -> dict[str, str]:
        if not self._settings.username:
            return {}
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._token is None or now >= self._renew_at:
                await self._renew(now)
        return {"accessToken": self._token} if self._token else {}

    async def _renew(self, now: float) -> None:
        if now < self._retry_at:
            if self._failure:
                raise self._failure
            return
        self._retry_at = now + self._retry
        try:
            self._token, lifetime = await self._login()
        except UnreachableError:
            self._retry_at = now
            raise
        except RefusedError as error:
            self._failure = error
            self._retry = min(self._retry * 2, _LONGEST_RETRY)
            raise
        self._failure = None
        self._retry = _RETRY
        self._renew_at = now + lifetime * _REFRESH_AT

    async def _login(self) -> tuple[str, float]:
        form = {"username": self._settings.username or "", "password": self._settings.password or ""}
        for path in _LOGIN_PATHS:
            answer = await self._http.request("POST", path, form=form)
            if answer.status in (404, 501):
                continue
            if answer.status != 200:
                raise RefusedError(
                    f"{answer.server} refuses to log in {form['username']!r} (HTTP {answer.status}: "
                    f"{answer.excerpt}); check nacos.username and nacos.password"
                )
            login = await answer.parsed(_Login)
            return login.access_token, login.token_ttl
        raise NacosError(
            f"{answer.server} has no login; leave nacos.username out, or check that it is a Nacos server"
        )


def _config_signature(access_key: str, secret_key: str, resource: str, now: str) -> dict[str, str]:
    return {
        "Spas-AccessKey": access_key,
        "Timestamp": now,
        "Spas-Signature": _hmac(secret_key, f"{resource}+{now}" if resource else now),
    }


def _naming_signature(access_key: str, secret_key: str, resource: str, now: str) -> dict[str, str]:
    data = f"{now}@@{resource}"
    return {"ak": access_key, "data": data, "signature": _hmac(secret_key, data)}


def _hmac(key: str, text: str) -> str:
    """Nacos's signature (plugin/auth, SpasAdapter): HMAC-SHA1 in base64."""
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), hashlib.sha1)).decode()
