"""The ASGI application behind the HTTP port."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from xds.http.body_limits import BodyLimits
from xds.http.connections import DEFAULTS, ConnectionLimits
from xds.http.dashboard import dashboard_routes
from xds.http.problem import on_failure, on_http_exception
from xds.http.readiness import LivenessEndpoint, Readiness, ReadinessEndpoint
from xds.http.security_headers import SecurityHeaders


def http_app(
    readiness: Callable[[], Readiness],
    discovery: Starlette,
    *,
    api: ASGIApp | None = None,
    metrics: Callable[[], tuple[bytes, str]] | None = None,
    ofrep: Sequence[BaseRoute] = (),
    login: Sequence[BaseRoute] = (),
    limits: ConnectionLimits = DEFAULTS,
) -> Starlette:
    """Return the application: ``/live``, ``/ready``, and discovery by REST-JSON.

    ``api`` is served below ``/api/v1``, with the dashboard that uses it at ``/``; ``metrics`` returns what is
    served at ``/metrics``, and its content type. ``ofrep`` are the paths of ``xds.http.ofrep``, ``login``
    those of ``xds.http.oidc``.
    """
    routes: list[BaseRoute] = [
        Route("/live", LivenessEndpoint(readiness).__call__),
        Route("/ready", ReadinessEndpoint(readiness).__call__),
    ]
    if metrics is not None:
        routes.append(Route("/metrics", _MetricsEndpoint(metrics).__call__))
    if api is not None:
        routes += [Mount("/api/v1", api), Route("/", _to_dashboard), *dashboard_routes()]
    routes += [*login, *ofrep, *discovery.routes]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: on_http_exception, Exception: on_failure},
        middleware=[Middleware(SecurityHeaders), Middleware(BodyLimits, limits)],
        lifespan=discovery.router.lifespan_context,
    )


async def _to_dashboard(_: Request) -> Response:
    return RedirectResponse("/dashboard/")


class _MetricsEndpoint:
    def __init__(self, metrics: Callable[[], tuple[bytes, str]]) -> None:
        self._metrics = metrics

    async def __call__(self, _: Request) -> Response:
        body, content_type = self._metrics()
        return Response(body, media_type=content_type)
