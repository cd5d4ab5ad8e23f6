"""The HTTP port: liveness and readiness, and REST-JSON discovery beside them."""

from xds.http.app import http_app
from xds.http.readiness import Readiness, ServedFrom
from xds.http.server import HttpServer

__all__ = ["HttpServer", "Readiness", "ServedFrom", "http_app"]
