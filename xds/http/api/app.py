"""Puts the API together: paths, who may use them, errors."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xds.http.access import Access, Caller
from xds.http.api.actions import acting, asking
from xds.http.api.backend import Conflict, Unavailable
from xds.http.api.context import Api
from xds.http.api.models import ProblemDetails
from xds.http.api.routes import reading
from xds.http.problem import (
    PROBLEM_TYPE,
    ProblemError,
    on_failure,
    on_http_exception,
    on_invalid,
    on_problem,
    problem_response,
)

_OPEN = frozenset({"/openapi.json"})


def api_app(api: Api, version: str) -> FastAPI:
    """Return the ASGI application to mount at ``/api/v1``; its description is at ``/openapi.json``."""
    app = _Described(
        title="Grayplane",
        version=version,
        description="What Grayplane knows and does: services, documents, proxies, rollouts.",
        openapi_url="/openapi.json",
        docs_url=None,  # their pages fetch scripts from elsewhere
        redoc_url=None,
        responses={"default": {"model": ProblemDetails, "description": "It cannot be answered as asked."}},
        generate_unique_id_function=_function_name,
    )
    app.state.api = api
    app.include_router(reading)
    app.include_router(asking)
    app.include_router(acting)
    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Conflict, _on_conflict)
    app.add_exception_handler(Unavailable, _on_unavailable)
    app.add_exception_handler(Exception, on_failure)  # the traceback is logged all the same
    app.add_middleware(_OnlyCallers, access=api.access)
    return app


class _Described(FastAPI):
    """Says in its description of what type errors are, and how callers say who they are."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            described = super().openapi()
            operations = [each for path in described["paths"].values() for each in path.values()]
            for operation in operations:
                content = operation["responses"]["default"]["content"]
                content[PROBLEM_TYPE] = content.pop("application/json")
            bearer = {"type": "http", "scheme": "bearer", "description": "A token of `grayplane token`."}
            described["components"]["securitySchemes"] = {"bearer": bearer}
            described["security"] = [{"bearer": []}, {}]  # nothing: without tokens, or logged in in a browser
        return super().openapi()


def _function_name(route: APIRoute) -> str:
    return route.name


class _OnlyCallers:
    """Lets only those in who may come in."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            request.state.caller = await self._caller(request)
        except ProblemError as error:
            answer = await on_problem(request, error)
            await answer(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, sending)

    async def _caller(self, request: Request) -> Caller | None:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path in _OPEN:
            return None
        address = request.client.host if request.client else ""
        return await self._access.caller(request.method, request.headers, address)


async def _on_conflict(_: Request, error: Exception) -> JSONResponse:
    return problem_response(409, str(error))


async def _on_unavailable(_: Request, error: Exception) -> JSONResponse:
    return problem_response(501, str(error))
