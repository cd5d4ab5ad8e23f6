"""The dashboard: a page of plain HTML, CSS and JavaScript that shows what the API says."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_FILES = Path(__file__).parent / "static"


def dashboard_routes() -> list[BaseRoute]:
    """Return the routes of its files, at ``/dashboard/``. They hold no data, so anybody may read them."""
    return [
        Mount("/dashboard", StaticFiles(directory=_FILES, html=True)),
        Route("/favicon.ico", _icon),
    ]


async def _icon(_: Request) -> FileResponse:
    return FileResponse(_FILES / "icon.svg")
