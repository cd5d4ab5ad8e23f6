"""REST-JSON discovery (``xds_protocol.rst``, "REST-JSON polling subscriptions"): state of the world, polled.

There is no delta, and nothing is acknowledged: a client polls with the version that it has, and is answered
304 until there is another. Nor is there an order among types; use gRPC where no request may be lost.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import grpc
import structlog
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xds import type_urls
from xds.cache import Ref, Resource, View
from xds.protocol.names import WILDCARD
from xds.protocol.types import empty_means_all
from xds.server.authorization import Authorization
from xds.server.errors import StreamError, exhausted, invalid
from xds.server.json_documents import JsonDocuments
from xds.server.json_requests import read_request
from xds.server.limits import DEFAULTS, Limits
from xds.server.observer import Observer, Peer
from xds.server.rest_clients import RestClients
from xds.server.revocation import id_of
from xds.server.tls import names_of
from xds.wire import Node

_log = structlog.get_logger(__name__)

# As the ``google.api.http`` options of the discovery services say; virtual hosts are incremental only, and
# secrets are nothing for a port without authentication.
_PATHS: Mapping[str, str] = {
    "clusters": type_urls.CLUSTER,
    "endpoints": type_urls.ENDPOINT,
    "listeners": type_urls.LISTENER,
    "routes": type_urls.ROUTE,
    "scoped-routes": type_urls.SCOPED_ROUTE,
    "runtime": type_urls.RUNTIME,
    "extension_configs": type_urls.EXTENSION,
}
_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.PERMISSION_DENIED: 403,
}


def discovery_app(
    view_of: Callable[[Node, Peer], Awaitable[View]],
    observer: Observer,
    *,
    serving: Callable[[], bool],
    limits: Limits = DEFAULTS,
    authorization: Authorization | None = None,
    closed: str = "",
) -> Starlette:
    """Return the ASGI application with a path for each type, ``/v3/discovery:clusters`` and so on.

    ``view_of`` and ``observer`` are those of ``XdsServer``; a client counts as connected until it has not
    polled for ``limits.poll``. Before ``serving()``, every answer is 503. With ``authorization``, clients
    need a certificate with a grant (the ASGI extension ``tls`` says which one they showed). ``closed`` is why
    nobody is answered, if so.
    """
    rest_clients = RestClients(view_of, observer, authorization, most=limits.streams, patience=limits.poll)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        rest_clients.close()

    discovery = _Discovery(rest_clients, serving, limits, closed)
    routes = [
        Route(f"/v3/discovery:{noun}", discovery.endpoint(type_url), methods=["POST"])
        for noun, type_url in _PATHS.items()
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class _Selection(NamedTuple):
    version: str
    resources: Sequence[Resource]


class _Discovery:
    def __init__(
        self, rest_clients: RestClients, serving: Callable[[], bool], limits: Limits, closed: str
    ) -> None:
        self._rest_clients = rest_clients
        self._serving = serving
        self._limits = limits
        self._closed = closed
        self._documents = JsonDocuments()
        self._writing = asyncio.Lock()

    def endpoint(self, type_url: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if self._closed:
                return _error(403, self._closed)
            if not self._serving():
                return _error(503, "the server is not ready; ask again", {"retry-after": "1"})
            try:
                return await self._answer(request, type_url)
            except StreamError as error:
                return _error(_STATUS[error.code], error.details)
            except ValueError as error:
                _log.exception("a resource cannot be served by REST", type_url=type_url)
                return _error(500, str(error))

        return answer

    async def _answer(self, request: Request, type_url: str) -> Response:
        asked = await asyncio.to_thread(read_request, await self._body(request), self._limits)
        if asked.type_url not in {"", type_url}:
            raise invalid(f"type_url is {asked.type_url!r}; this path serves {type_url!r}")
        view = await self._rest_clients.view_for(asked.node or Node(), _peer(request))
        selected = _select(view, type_url, asked.resource_names)
        if asked.version_info == selected.version:
            return Response(status_code=304)
        async with self._writing:
            body = await asyncio.to_thread(self._documents.response, type_url, *selected)
        return Response(body, media_type="application/json")

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._limits.message_bytes:
                raise exhausted(f"a request of more than {self._limits.message_bytes} bytes")
        return bytes(body)


def _peer(request: Request) -> Peer:
    address = f"{request.client.host}:{request.client.port}" if request.client else ""
    chain = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain")
    if not chain:
        return Peer(address)
    certificate = x509.load_pem_x509_certificate(chain[0].encode())
    return Peer(address, names_of(certificate), id_of(certificate))


def _select(view: View, type_url: str, names: Sequence[str]) -> _Selection:
    """Choose what a client asks for, and the version of that: one that any replica gives it."""
    wanted = dict.fromkeys(names)
    if WILDCARD in wanted or (not wanted and empty_means_all(type_url)):
        everything = view.resources(type_url).values()
        resources = [each for each in everything if not each.on_demand or each.name in wanted]
    else:
        found = (view.find(Ref(type_url, name)) for name in wanted)
        resources = list({each.name: each for each in found if each}.values())
    content = "\0".join(f"{each.name}\0{each.version}" for each in sorted(resources, key=lambda it: it.name))
    return _Selection(hashlib.blake2b(content.encode(), digest_size=8).hexdigest(), resources)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers)
