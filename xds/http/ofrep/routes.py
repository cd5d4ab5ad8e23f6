"""The paths of the protocol."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from xds.http.access import Access
from xds.http.events import Events, Topic
from xds.http.ofrep.context import Context, InvalidContextError, read_context
from xds.http.ofrep.flags import Flags
from xds.http.problem import ProblemError

_MAX_BODY = 64 << 10
_AT_ONCE = 50
"""Flags that are evaluated before others have their turn: a few milliseconds."""


def ofrep_routes(flags: Flags, region_header: str, access: Access, events: Events) -> list[BaseRoute]:
    """Return the paths of the protocol. Callers need the role viewer, as for the API."""
    endpoints = _Endpoints(flags, region_header, access, events)
    return [
        Route("/ofrep/v1/evaluate/flags", endpoints.bulk, methods=["POST"]),
        Route("/ofrep/v1/evaluate/flags/{key:path}", endpoints.single, methods=["POST"]),
        Route("/ofrep/v1/events", endpoints.events, methods=["GET"]),
    ]


class _Endpoints:
    def __init__(self, flags: Flags, region_header: str, access: Access, events: Events) -> None:
        self._flags = flags
        self._region_header = region_header
        self._access = access
        self._events = events

    async def single(self, request: HttpRequest) -> Response:
        """Evaluate one flag."""
        key = request.path_params["key"]
        try:
            context = await self._context(request)
            return JSONResponse(self._flags.evaluate(_namespace(request), key, context))
        except ProblemError as error:
            return _refused(error)
        except InvalidContextError as error:
            return JSONResponse({"key": key, **_failure(error)}, 400)
        except KeyError:
            details = f"there is no rule document, or no rule, for the flag {key!r}"
            missing = {"key": key, "errorCode": "FLAG_NOT_FOUND", "errorDetails": details}
            return JSONResponse(missing, 404)

    async def bulk(self, request: HttpRequest) -> Response:
        """Evaluate all flags, unless the client has the answer already."""
        try:
            context = await self._context(request)
        except ProblemError as error:
            return _refused(error)
        except InvalidContextError as error:
            return JSONResponse(_failure(error), 400)
        namespace = _namespace(request)
        etag = _etag(self._flags.version, namespace, context)
        if etag in _tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers={"etag": etag})
        found = []
        for count, key in enumerate(self._flags.keys(namespace), 1):
            found.append(self._flags.evaluate(namespace, key, context))
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        streams = [
            {"type": "sse", "endpoint": {"origin": _origin(request), "requestUri": "/ofrep/v1/events"}}
        ]
        return JSONResponse({"flags": found, "eventStreams": streams}, headers={"etag": etag})

    async def events(self, request: HttpRequest) -> Response:
        """Tell when flags should be asked for again (server-sent events)."""
        try:
            await self._admit(request)
            following = self._events.follow(request.headers.get("last-event-id"))
            await anext(following)
        except ProblemError as error:
            return _refused(error)
        return StreamingResponse(self._told(following), media_type="text/event-stream")

    async def _told(
        self, following: AsyncIterator[Mapping[Topic, frozenset[str]] | None]
    ) -> AsyncIterator[str]:
        yield f"id: {self._events.position}\n\n"
        async for changed in following:
            if changed is None:
                yield ": still here\n\n"
            elif not changed.keys().isdisjoint({Topic.SERVICES, Topic.DOCUMENTS, Topic.ROLLOUTS}):
                yield f'data: {{"type": "refetchEvaluation"}}\nid: {self._events.position}\n\n'

    async def _context(self, request: HttpRequest) -> Context:
        await self._admit(request)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                raise InvalidContextError(f"a context has at most {_MAX_BODY} bytes")
        return read_context(bytes(body), self._region_header)

    async def _admit(self, request: HttpRequest) -> None:
        headers = request.headers
        if (key := headers.get("x-api-key")) and "authorization" not in headers:
            headers = headers.mutablecopy()
            headers["authorization"] = f"Bearer {key}"
        address = request.client.host if request.client else ""
        # It reads only, whatever its method is.
        await self._access.caller("GET", headers, address)


def _namespace(request: HttpRequest) -> str:
    return request.headers.get("x-grayplane-namespace", "")


def _refused(error: ProblemError) -> JSONResponse:
    return JSONResponse({"errorDetails": error.detail}, error.status, headers=error.headers)


def _failure(error: InvalidContextError) -> dict[str, str]:
    code = "PARSE_ERROR" if "JSON" in str(error) else "INVALID_CONTEXT"
    return {"errorCode": code, "errorDetails": str(error)}


def _etag(version: str, namespace: str, context: Context) -> str:
    digest = hashlib.blake2b(repr((version, namespace, context)).encode(), digest_size=12).hexdigest()
    return f'"{digest}"'


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def _origin(request: HttpRequest) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
