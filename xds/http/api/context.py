"""What every path of the API works with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from xds.http.access import Access, Caller, Role, require
from xds.http.api.backend import Backend
from xds.http.audit import Audit
from xds.http.events import Events


@dataclass(frozen=True, slots=True)
class Api:
    """The parts of the API."""

    backend: Backend
    access: Access
    audit: Audit
    events: Events


def asked_by(request: Request, role: Role = Role.VIEWER) -> Caller:
    """Return who sent a request, who must have a role."""
    caller: Caller = request.state.caller
    require(caller, role)
    return caller


async def _api_of(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


TheApi = Annotated[Api, Depends(_api_of)]
"""The parts of the API that serves the request.

Functions of paths get them so, and hold none of them: the framework keeps such functions for ever.
"""
