"""The ASGI application behind the HTTP port."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from xds.http.readiness import Readiness, ReadinessEndpoint


def http_app(readiness: Callable[[], Readiness], discovery: Starlette) -> Starlette:
    """Return the application: ``/live``, ``/ready``, and discovery by REST-JSON."""
    return Starlette(
        routes=[
            Route("/live", _live),
            Route("/ready", ReadinessEndpoint(readiness).__call__),
            Mount("/", discovery),
        ],
        lifespan=discovery.router.lifespan_context,
    )


async def _live(_: Request) -> PlainTextResponse:
    return PlainTextResponse("alive\n")
