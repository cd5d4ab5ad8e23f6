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


async def _the_request(request: Request) -> Request:
    return request


Ask = Annotated[Request, Depends(_the_request)]
"""The request itself, for who sent it."""
