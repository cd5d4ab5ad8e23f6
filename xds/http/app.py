"""The ASGI application behind the HTTP port."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from xds.http.body_limits import BodyLimits
from xds.http.connections import DEFAULTS, ConnectionLimits
from xds.http.dashboard import dashboard_routes
from xds.http.problem import on_failure, on_http_exception
from xds.http.readiness import Readiness, liveness_answer, readiness_answer
from xds.http.security_headers import SecurityHeaders


def http_app(
    readiness: Callable[[], Readiness],
    discovery: Starlette,
    *,
    api: ASGIApp | None = None,
    metrics: Callable[[], Awaitable[tuple[bytes, str]]] | None = None,
    ofrep: Sequence[BaseRoute] = (),
    login: Sequence[BaseRoute] = (),
    limits: ConnectionLimits = DEFAULTS,
) -> Starlette:
    """Return the application: ``/live``, ``/ready``, and discovery by REST-JSON.

    ``api`` is served below ``/api/v1``, with the dashboard that uses it at ``/``; ``metrics`` returns what is
    served at ``/metrics``, and its content type. ``ofrep`` are the paths of ``xds.http.ofrep``, ``login``
    those of ``xds.http.oidc``.
    """
    routes = [
        _page("/live", lambda: liveness_answer(readiness())),
        _page("/ready", lambda: readiness_answer(readiness())),
    ]
    if metrics is not None:
        routes.append(_metrics_page(metrics))
    if api is not None:
        routes += [Mount("/api/v1", api), Route("/", _to_dashboard), *dashboard_routes()]
    routes += [*login, *ofrep, *discovery.routes]
    return Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: on_http_exception,
            ClientDisconnect: _on_disconnect,
            Exception: on_failure,
        },
        middleware=[Middleware(SecurityHeaders), Middleware(BodyLimits, limits)],
        lifespan=discovery.router.lifespan_context,
    )


def _page(path: str, answer: Callable[[], Response]) -> BaseRoute:
    async def endpoint(_: Request) -> Response:
        return answer()

    return Route(path, endpoint)


def _metrics_page(metrics: Callable[[], Awaitable[tuple[bytes, str]]]) -> BaseRoute:
    async def endpoint(_: Request) -> Response:
        body, content_type = await metrics()
        return Response(body, media_type=content_type)

    return Route("/metrics", endpoint)


async def _on_disconnect(_: Request, __: Exception) -> Response:
    """Answer nobody: the client went away within its request, which is no defect and no news for the log."""
    return Response(status_code=400)


async def _to_dashboard(_: Request) -> Response:
    return RedirectResponse("/dashboard/")
