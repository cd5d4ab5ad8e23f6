"""An OpenID Connect provider for tests: Authlib's own server side, in a real HTTP server.

It demands PKCE, a nonce and the client's secret, as a strict provider does.
"""

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode, UserInfo
from joserfc import jwt
from joserfc.jwk import Key, KeySet, RSAKey
from joserfc.jws import JWSRegistry
from werkzeug.serving import BaseWSGIServer, make_server

CLIENT, SECRET, AUDIENCE = (
    "grayplane",
    "a secret of forty-two characters, in truth",
    "https://api.example.com",
)
USERS: Mapping[str, Mapping[str, Any]] = {
    "alice": {"groups": ["staff", "platform"]},
    "bob": {"groups": ["staff"]},
    "eve": {"groups": ["guests"]},
    "<script>alert(1)</script>\nforged=yes": {"groups": ["platform"]},
}
"""Who can log in, and their claims."""

PAGE = """<!doctype html><title>Provider</title><form method="post">
<label>Name <input name="user" id="user"></label><button id="allow">Log in</button>
<button name="deny" value="1" id="deny">Cancel</button></form>"""


@dataclass
class _Code(AuthorizationCodeMixin):
    code: str
    redirect_uri: str
    scope: str
    user: str
    nonce: str
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> str:
        return "0"

    def get_amr(self) -> list[str]:
        return ["pwd"]


class _Client(ClientMixin):
    """The one client that is registered, with where it may be sent back to."""

    def __init__(self, redirect_uris: set[str], takes_secret: str) -> None:
        self._redirect_uris = redirect_uris
        self._takes_secret = takes_secret

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return min(self._redirect_uris)

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        return str(scope)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self._redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self._takes_secret

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class OidcProvider:
    """A provider on this machine. ``issuer`` is its URL; it is away outside of ``running``.

    ``redirect_uris`` are those that it sends browsers back to; ``tamper`` may change the claims of ID tokens.
    """

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.redirect_uris: set[str] = set()
        self.tamper: dict[str, Any] = {}
        self.takes_secret = "client_secret_basic"
        self.asked: list[str] = []
        self._codes: dict[str, _Code] = {}
        self.keys: list[RSAKey] = [_first_key()]
        self._app = self._make()

    def rotate(self, *, forget: bool = False) -> None:
        """Sign with a new key from now on; the old one is known still, unless it is to be forgotten."""
        self.keys = [_new_key(), *(() if forget else self.keys)]

    def token(self, key: Key | None = None, header: Mapping[str, Any] | None = None, **claims: object) -> str:
        """Sign an access token for the API."""
        key = key or self.keys[0]
        content = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": int(time.time()) + 300,
            "groups": ["platform"],
            **claims,
        }
        head = {"alg": "RS256", "kid": key.kid, **(header or {})}
        registry = JWSRegistry(algorithms=[head["alg"]], strict_check_header=False)
        return jwt.encode(head, {k: v for k, v in content.items() if v is not None}, key, registry=registry)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer, in a thread."""
        at = urlsplit(self.issuer)
        server: BaseWSGIServer = make_server(str(at.hostname), at.port or 0, self._app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _make(self) -> flask.Flask:
        app = flask.Flask("oidc-provider")
        server = AuthorizationServer(
            app,
            lambda name: _Client(self.redirect_uris, self.takes_secret) if name == CLIENT else None,
            lambda *_: None,
        )
        server.register_grant(_grant(self._codes), [CodeChallenge(required=True), _id_token(self)])

        @app.before_request
        def count() -> None:
            self.asked.append(flask.request.path)

        @app.get("/.well-known/openid-configuration")
        def discovery() -> Any:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "end_session_endpoint": f"{self.issuer}/logout",
                "token_endpoint_auth_methods_supported": [self.takes_secret],
            }

        @app.get("/jwks")
        def jwks() -> Any:
            return flask.jsonify(KeySet(list(self.keys)).as_dict(private=False))

        @app.route("/authorize", methods=["GET", "POST"])
        def authorize() -> Any:
            if flask.request.method == "GET":
                return PAGE
            grant = server.get_consent_grant()  # type: ignore[no-untyped-call]  # no stubs
            user = None if "deny" in flask.request.form else flask.request.form["user"].replace("\\n", "\n")
            return server.create_authorization_response(grant_user=user, grant=grant)

        @app.post("/token")
        def token() -> Any:
            return server.create_token_response()

        @app.get("/logout")
        def logout() -> Any:
            return f"<title>Logged out</title><p>Logged out, back at {flask.request.args['client_id']}"

        return app


def _grant(codes: dict[str, _Code]) -> type[AuthorizationCodeGrant]:
    class Grant(AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]  # noqa: RUF012  # as Authlib has it

        def save_authorization_code(self, code: str, request: Any) -> None:
            data = request.payload.data
            codes[code] = _Code(
                code,
                data["redirect_uri"],
                data["scope"],
                request.user,
                data["nonce"],
                data.get("code_challenge"),
                data.get("code_challenge_method"),
            )

        def query_authorization_code(self, code: str, client: ClientMixin) -> Any:
            return codes.get(code)

        def delete_authorization_code(self, authorization_code: Any) -> None:
            del codes[authorization_code.code]

        def authenticate_user(self, authorization_code: Any) -> Any:
            return authorization_code.user

    return Grant


def _id_token(provider: OidcProvider) -> OpenIDCode:
    class IdToken(OpenIDCode):
        def exists_nonce(self, nonce: str, request: Any) -> bool:
            return False

        def resolve_client_private_key(self, client: ClientMixin) -> Any:
            return provider.keys[0]

        def get_client_algorithm(self, client: ClientMixin) -> str:
            return "RS256"

        def get_encode_header(self, client: ClientMixin) -> Any:
            return {"alg": "RS256", "kid": provider.keys[0].kid}

        def get_client_claims(self, client: ClientMixin) -> Any:
            return {"iss": provider.issuer, "exp": int(time.time()) + 300, "aud": [CLIENT]}

        def generate_user_info(self, user: str, scope: str) -> Any:
            return UserInfo(
                sub=f"id-of-{user}", preferred_username=user, **{**USERS[user], **provider.tamper}
            )

    return IdToken(require_nonce=True)


@cache
def _first_key() -> RSAKey:
    """The key that every provider begins with: making one takes a while."""
    return _new_key()


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)
