"""The HTTP API under ``/api/v1``: what Grayplane knows, as JSON, and what may be asked of it."""

from xds.http.api.app import api_app
from xds.http.api.backend import Backend
from xds.http.api.context import Api

__all__ = ["Api", "Backend", "api_app"]
