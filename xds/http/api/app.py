"""Puts the API together: paths, who may use them, errors."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from xds.http.api.actions import acting, asking
from xds.http.api.backend import Conflict, Unavailable
from xds.http.api.context import Api
from xds.http.api.routes import reading
from xds.http.problem import ProblemError, on_http_exception, on_invalid, on_problem, problem_response

_MAX_BODY = 12 << 20
_OPEN = frozenset({"/openapi.json"})


def api_app(api: Api, version: str) -> FastAPI:
    """Return the ASGI application to mount at ``/api/v1``; its description is at ``/openapi.json``."""
    app = FastAPI(
        title="Grayplane",
        version=version,
        description="What Grayplane knows and does: services, documents, proxies, rollouts.",
        openapi_url="/openapi.json",
        docs_url=None,  # their pages fetch scripts from elsewhere
        redoc_url=None,
    )
    app.include_router(reading(api))
    app.include_router(asking(api))
    app.include_router(acting(api))
    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Conflict, _on_conflict)
    app.add_exception_handler(Unavailable, _on_unavailable)

    @app.middleware("http")
    async def only_callers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Let only those in who may come in, and bodies of a sensible size."""
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY:
            return problem_response(413, f"a body has at most {_MAX_BODY} bytes")
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path not in _OPEN:
            address = request.client.host if request.client else ""
            try:
                request.state.caller = api.access.caller(request.method, request.headers, address)
            except ProblemError as error:
                return await on_problem(request, error)
        response = await call_next(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


async def _on_conflict(_: Request, error: Exception) -> JSONResponse:
    return problem_response(409, str(error))


async def _on_unavailable(_: Request, error: Exception) -> JSONResponse:
    return problem_response(501, str(error))
