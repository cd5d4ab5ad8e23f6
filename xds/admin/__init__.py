"""The HTTP face: whether this server is alive and ready, and REST-JSON discovery beside it."""

from xds.admin.app import admin_app
from xds.admin.readiness import Readiness, Standing
from xds.admin.server import HttpServer

__all__ = ["HttpServer", "Readiness", "Standing", "admin_app"]
