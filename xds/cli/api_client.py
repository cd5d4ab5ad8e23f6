"""Asks a running server by its HTTP API."""

import ipaddress
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Annotated, Any

import typer

from xds.cli.errors import FAILED, MISUSED, fail
from xds.settings import API_TOKEN_VARIABLE, API_URL_VARIABLE

_TIMEOUT = 30.0
_PAGE = 500

ServerFlag = Annotated[
    str,
    typer.Option(
        "--server", metavar="URL", envvar=API_URL_VARIABLE, help="The HTTP port of the server to ask."
    ),
]
TokenFlag = Annotated[
    str | None,
    typer.Option(
        "--token", envvar=API_TOKEN_VARIABLE, help="Its token, if it wants one.", show_default=False
    ),
]
DEFAULT_SERVER = "http://127.0.0.1:18080"


class ApiClient:
    """The API of one server. What goes wrong ends the command with a line that says what to do."""

    def __init__(self, server: str, token: str | None) -> None:
        if not server.startswith(("http://", "https://")) or _host(server) is None:
            fail(
                [f"--server {server}: write http://host:port or https://host:port, such as {DEFAULT_SERVER}"],
                MISUSED,
            )
        self._base = f"{server.rstrip('/')}/api/v1"
        # No proxy of the environment reaches this machine.
        direct = [urllib.request.ProxyHandler({})] if _is_here(server) else []
        self._opener = urllib.request.build_opener(*direct)
        self._token = token

    def get(self, path: str, **query: str | int | None) -> Any:
        """Return what a path says."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._send("GET", f"{path}?{urllib.parse.urlencode(given)}" if given else path)

    def find(self, path: str, **query: str) -> Any | None:
        """Return what a path says; None if there is no such thing."""
        try:
            return self._answer("GET", f"{path}?{urllib.parse.urlencode(query)}")
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                fail([_refusal(error)], FAILED)
            return None

    def post(self, path: str, body: Mapping[str, object], method: str = "POST") -> Any:
        """Send a body; return what is answered."""
        return self._send(method, path, json.dumps(body).encode())

    def all(self, path: str, **query: str | None) -> Iterator[Any]:
        """Yield all items of a list, page by page."""
        after: str | None = None
        while True:
            page = self.get(path, limit=_PAGE, after=after, **query)
            yield from page["items"]
            if (after := page["next"]) is None:
                return

    def _send(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            return self._answer(method, path, body)
        except urllib.error.HTTPError as error:
            fail([_refusal(error)], FAILED)

    def _answer(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return what is answered. Raise ``HTTPError`` for what is no success."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self._base + path, body, headers, method=method)  # noqa: S310  # http
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                text = answer.read()
        except urllib.error.HTTPError:
            raise
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, ssl.SSLCertVerificationError):
                hint = "the variable SSL_CERT_FILE names the file of the authority that signed it"
                fail([f"{self._base} is not trusted ({reason.verify_message}); {hint}"])
            fail(
                [f"{self._base} does not answer ({reason}); --server or {API_URL_VARIABLE} says where it is"]
            )
        return json.loads(text) if text else None


def _host(server: str) -> str | None:
    """Return the host in an URL; None if there is none."""
    try:
        return urllib.parse.urlsplit(server).hostname
    except ValueError:
        return None


def _is_here(server: str) -> bool:
    host = _host(server) or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def name_in_path(name: str) -> str:
    """Write a name as a part of a path."""
    return urllib.parse.quote(name, safe="")


def _refusal(error: urllib.error.HTTPError) -> str:
    with error:
        try:
            detail = json.load(error)["detail"]
        except (ValueError, KeyError, TypeError):
            return f"{error.url} answered {error.code} {error.reason}: is it the HTTP port of a Grayplane?"
    hint = f"; --token or {API_TOKEN_VARIABLE} says it" if error.code == 401 else ""
    return f"{detail}{hint}"
