"""Cookies of the dashboard: sealed, so that they can neither be read nor made up elsewhere.

There is nothing to keep on the server: replicas with the same client secret know each other's sessions.
"""

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.responses import Response

from xds.http.access import Account, Role

_MOST_ENDED = 10_000


class SealedCookie:
    """One cookie, for one purpose. ``secret`` is what the key is made from, and ``age`` how long it lasts."""

    def __init__(
        self, name: str, secret: str, age: float, *, same_site: str, secure: bool, clock: Callable[[], float]
    ) -> None:
        # The prefix has browsers take it from this very host by HTTPS alone.
        self.name = f"__Host-{name}" if secure else name
        derived = HKDF(hashes.SHA256(), 32, salt=None, info=f"grayplane {name}".encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived.derive(secret.encode())))
        self._age = age
        self._same_site = same_site
        self._secure = secure
        self._clock = clock

    def set(self, response: Response, content: Mapping[str, Any]) -> None:
        """Have a browser keep some content."""
        sealed = self._fernet.encrypt_at_time(json.dumps(content).encode(), int(self._clock()))
        self._write(response, sealed.decode(), int(self._age))

    def delete(self, response: Response) -> None:
        """Have a browser forget it."""
        self._write(response, "", 0)

    def read(self, cookies: Mapping[str, str]) -> dict[str, Any] | None:
        """Return what a browser sent; None if that is nothing, too old, or not ours."""
        sealed = cookies.get(self.name)
        if not sealed:
            return None
        try:
            text = self._fernet.decrypt_at_time(sealed, int(self._age), int(self._clock()))
        except (InvalidToken, UnicodeError):
            return None
        content: dict[str, Any] = json.loads(text)
        return content

    def _write(self, response: Response, value: str, age: int) -> None:
        attributes = f"Path=/; Max-Age={age}; HttpOnly; SameSite={self._same_site}"
        secure = "; Secure" if self._secure else ""
        response.headers.append("set-cookie", f"{self.name}={value}; {attributes}{secure}")


@dataclass(frozen=True, slots=True)
class Login:
    """A login that began: what the provider has to send back, and where the browser goes then."""

    state: str
    nonce: str
    verifier: str
    to: str

    @classmethod
    def begin(cls, to: str) -> "Login":
        """Begin one."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), to)


class Sessions:
    """Who is logged in, and who is about to be.

    A session lasts ``age`` seconds. One that was ended is not taken again by this process; by other replicas
    it would be, if somebody had copied the cookie.
    """

    def __init__(
        self, secret: str | None, age: float, *, secure: bool, clock: Callable[[], float] = time.time
    ) -> None:
        secret = secret or secrets.token_urlsafe(32)
        # Strict: sent with requests of our own pages alone. Lax: sent when the provider sends browsers back.
        self._session = SealedCookie(
            "grayplane-session", secret, age, same_site="Strict", secure=secure, clock=clock
        )
        self._login = SealedCookie(
            "grayplane-login", secret, 600, same_site="Lax", secure=secure, clock=clock
        )
        # The ids of sessions that were ended here, the last ones. Written by ``end``.
        self._ended: dict[str, None] = {}

    def begin_login(self, response: Response, to: str) -> Login:
        """Note in the browser that a login began."""
        login = Login.begin(to)
        content = {"state": login.state, "nonce": login.nonce, "verifier": login.verifier, "to": login.to}
        self._login.set(response, content)
        return login

    def login(self, cookies: Mapping[str, str]) -> Login | None:
        """Return the login that a browser began; None if it began none within ten minutes."""
        content = self._login.read(cookies)
        return None if content is None else Login(**content)

    def end_login(self, response: Response) -> None:
        """Forget a login that is over."""
        self._login.delete(response)

    def begin(self, response: Response, account: Account) -> None:
        """Note in the browser who is logged in."""
        content = {"id": secrets.token_urlsafe(16), "name": account.name, "role": str(account.role)}
        self._session.set(response, content)

    def account(self, cookies: Mapping[str, str]) -> Account | None:
        """Return who is logged in."""
        content = self._session.read(cookies)
        if content is None or content["id"] in self._ended:
            return None
        return Account(content["name"], Role(content["role"]))

    def end(self, response: Response, cookies: Mapping[str, str]) -> None:
        """End the session of a browser."""
        if content := self._session.read(cookies):
            self._ended[content["id"]] = None
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
        self._session.delete(response)
