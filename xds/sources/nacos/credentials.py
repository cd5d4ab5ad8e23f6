"""Who we are to Nacos: the headers that a request carries."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable

from pydantic import BaseModel, Field

from xds.sources.nacos.errors import NacosError, RefusedError, os_reason
from xds.sources.nacos.http import Answer, Http
from xds.sources.nacos.settings import NacosSettings

_LOGIN_PATHS = ("/v3/auth/user/login", "/v1/auth/users/login")
_REFRESH_AT = 0.8
"""The share of its lifetime after which a token is replaced."""

_RETRY = 1.0
"""Seconds between logins that fail because of the server."""

_REFUSED_RETRY = 5.0
_LONGEST_REFUSED_RETRY = 60.0
"""Seconds between logins that are refused, doubling: servers lock out whom they see too often."""


class _Login(BaseModel):
    access_token: str = Field(alias="accessToken")
    token_ttl: float = Field(alias="tokenTtl")


class Credentials:
    """Logs in when there is a user, and signs when there is an access key.

    A token is replaced before it ends. Should that fail, the old one is used until it ends, and ``report`` is
    told why, None when it is over. The SDK could log in too, but puts the password into the URL and the token
    into its log.
    """

    def __init__(
        self, settings: NacosSettings, http: Http, report: Callable[[str | None], None] = lambda reason: None
    ) -> None:
        self._settings = settings
        self._http = http
        self._report = report
        # The password of the last login. Written by ``_try_to_renew``.
        self._password = ""
        self._lock = asyncio.Lock()
        # The token, when to replace it and when it ends, in loop time and in words. Written by
        # ``_try_to_renew`` and ``refused``.
        self._token: str | None = None
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._good_until = ""
        # When the next login may be tried, and the wait after the next refusal. Written by ``_renew``.
        self._retry_at = 0.0
        self._refused_retry = _REFUSED_RETRY
        # Why the last login failed; None if it did not.
        self._failure: NacosError | None = None

    async def for_config(self, group: str | None = None) -> dict[str, str]:
        """Return the headers for a request about a group of configurations, by default that of the rules."""
        group = self._settings.rules_group if group is None else group
        resource = "+".join(filter(None, (self._settings.config_tenant, group)))
        return await self._token_headers() | self._sign(_config_signature, resource)

    async def for_naming(self, service: str = "") -> dict[str, str]:
        """Return the headers for a request about a service of the group."""
        resource = f"{self._settings.naming_group}@@{service}"
        return await self._token_headers() | self._sign(_naming_signature, resource)

    def refused(self) -> None:
        """Forget the token: the server did not accept it."""
        self._renew_at = self._ends_at = 0.0

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
            if now >= self._renew_at and (now >= self._retry_at or await self._has_new_password()):
                await self._renew(now)
            if self._failure and now >= self._ends_at:
                raise self._failure
        return {"accessToken": self._token} if self._token else {}

    async def _has_new_password(self) -> bool:
        if self._settings.password_file is None:
            return False
        try:
            return await self._read_password() != self._password
        except NacosError:
            return False

    async def _read_password(self) -> str:
        file = self._settings.password_file
        if file is None:
            return self._settings.password or ""
        try:
            return (await asyncio.to_thread(file.read_text, "utf-8")).rstrip("\r\n")
        except OSError as error:
            raise RefusedError(f"nacos.password_file {file} cannot be read: {os_reason(error)}") from None
        except UnicodeDecodeError:
            raise RefusedError(f"nacos.password_file {file} is not UTF-8 text") from None

    async def _renew(self, now: float) -> None:
        await self._try_to_renew(now)
        failure, left = self._failure, self._ends_at - now
        if not isinstance(failure, RefusedError):
            # An outage of the login does not matter while there is a token; without one, callers tell of it.
            self._report(None)
        elif left <= 0:
            self._report(str(failure))
        else:
            self._report(f"{failure}; the login of before is good until {self._good_until}")

    async def _try_to_renew(self, now: float) -> None:
        try:
            self._password = await self._read_password()
            self._token, lifetime = await self._login()
        except RefusedError as error:
            self._failure = error
            self._retry_at = now + self._refused_retry
            self._refused_retry = min(self._refused_retry * 2, _LONGEST_REFUSED_RETRY)
        except NacosError as error:
            self._failure = error
            self._retry_at = now + _RETRY
        else:
            self._failure = None
            # A server that refuses the token it has just given is not asked for the next one at once.
            self._retry_at = now + min(_REFUSED_RETRY, lifetime * _REFRESH_AT)
            self._refused_retry = _REFUSED_RETRY
            self._renew_at = now + lifetime * _REFRESH_AT
            self._ends_at = now + lifetime
            self._good_until = time.strftime("%H:%M:%S", time.localtime(time.time() + lifetime))

    async def _login(self) -> tuple[str, float]:
        form = {"username": self._settings.username or "", "password": self._password}
        for path in _LOGIN_PATHS:
            answer = await self._http.request("POST", path, form=form)
            if answer.status in {404, 501}:
                continue
            if answer.status != 200:
                raise self._login_error(answer)
            login = await answer.parsed(_Login)
            return login.access_token, login.token_ttl
        raise NacosError(
            f"{answer.server} has no login; leave nacos.username out, or check that it is a Nacos server"
        )

    def _login_error(self, answer: Answer) -> NacosError:
        said = f"HTTP {answer.status}: {answer.excerpt}"
        if answer.status in {400, 401, 403}:
            return RefusedError(
                f"{answer.server} refuses to log in {self._settings.username!r} ({said}); "
                "check nacos.username and nacos.password"
            )
        return NacosError(f"{answer.server} cannot log in {self._settings.username!r} now ({said})")


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
    """Return Nacos's signature (plugin/auth, SpasAdapter): HMAC-SHA1 in base64."""
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), hashlib.sha1)).decode()
