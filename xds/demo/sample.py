"""The service that demo and tests route to: it answers who it is and what it was asked, as JSON.

Run it with ``python -m xds.demo.sample``. Its environment:

- ``SERVICE_NAME``, ``SERVICE_VERSION``, ``SERVICE_PORT``; ``SERVICE_ADDRESS`` (default 127.0.0.1);
- ``UPSTREAM``: a URL to call for every request, whose answer is included; the headers that rules may match
  on, those beginning with ``x-``, cookies and ``baggage``, are passed on, as an application in a call chain
  does; ``UPSTREAM_PROXY``: the HTTP proxy to call it through, such as the sidecar;
- ``SERVICE_REGISTRY=nacos``: register while serving, in the Nacos that Grayplane's own settings name
  (``GRAYPLANE_NACOS__SERVER`` and its siblings), with the version as metadata; with ``REGISTERED_PORT``
  (default ``SERVICE_PORT``), which is the sidecar's where calls come in through one. Bound to ``0.0.0.0`` it
  registers the address that its own host name has.
"""

import asyncio
import socket
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from functools import cached_property
from typing import Literal

import httpx
import uvicorn
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from xds.rules.instance import Instance
from xds.settings import Port, load

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104  # compared with, not bound to
_PASSED_ON = frozenset({"cookie", "baggage"})
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Service(BaseSettings):
    """Who this instance is, from the environment."""

    model_config = SettingsConfigDict(frozen=True)

    name: str = Field(validation_alias="SERVICE_NAME")
    version: str = Field(validation_alias="SERVICE_VERSION")
    port: Port = Field(validation_alias="SERVICE_PORT")
    address: str = Field("127.0.0.1", validation_alias="SERVICE_ADDRESS")
    upstream: str | None = Field(None, validation_alias="UPSTREAM")
    upstream_proxy: str | None = Field(None, validation_alias="UPSTREAM_PROXY")
    registered_port: Port | None = Field(None, validation_alias="REGISTERED_PORT")
    registry: Literal["nacos"] | None = Field(None, validation_alias="SERVICE_REGISTRY")

    @cached_property
    def reached_at(self) -> str:
        """The address that others reach it at."""
        return (
            socket.gethostbyname(socket.gethostname()) if self.address == _EVERY_INTERFACE else self.address
        )


def application(service: Service, client: httpx.AsyncClient) -> Starlette:
    """Build the service; ``client`` makes the calls to the upstream.

    From a POST to ``/break`` to one to ``/mend`` it answers with status 500, as a bad release does.
    """
    status = 200

    async def answer(request: Request) -> JSONResponse:
        nonlocal status
        if request.method == "POST" and request.url.path in {"/break", "/mend"}:
            status = 500 if request.url.path == "/break" else 200
            return JSONResponse({"status": status})
        said: dict[str, object] = {
            "service": service.name,
            "version": service.version,
            "instance": f"{service.reached_at}:{service.port}",
            "path": request.url.path,
            "headers": dict(request.headers),
        }
        if service.upstream is not None:
            said["upstream"] = await _call(client, service.upstream, request.headers)
        return JSONResponse(said, status)

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


async def _call(client: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> object:
    passed_on = {
        name: value for name, value in headers.items() if name.startswith("x-") or name in _PASSED_ON
    }
    try:
        response = await client.get(url, headers=passed_on)
        response.raise_for_status()
        return response.json()
    except (httpx.HTTPError, ValueError) as error:
        return {"error": str(error) or type(error).__name__}


class _Server(uvicorn.Server):
    """Registers once it listens, and leaves the registry before it stops listening."""

    def __init__(self, config: uvicorn.Config, registration: AbstractAsyncContextManager[None]) -> None:
        super().__init__(config)
        self._registration = registration
        self._registered = AsyncExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await self._registered.enter_async_context(self._registration)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._registered.aclose()
        await super().shutdown(sockets)


def _registration(service: Service) -> AbstractAsyncContextManager[None]:
    if service.registry is None:
        return nullcontext()
    from xds.sources.nacos import registered  # noqa: PLC0415  # slow to load, and most do without

    port = service.registered_port or service.port
    instance = Instance(service.reached_at, port, metadata={"version": service.version})
    return registered(load().nacos.client_settings()[0], service.name, instance, _report)


def _report(trouble: str | None) -> None:
    sys.stderr.write(f"{trouble or 'registered'}\n")
    sys.stderr.flush()


async def run(service: Service) -> None:
    """Serve until SIGINT or SIGTERM."""
    async with httpx.AsyncClient(proxy=service.upstream_proxy, trust_env=False) as client:
        app = application(service, client)
        config = uvicorn.Config(app, service.address, service.port, log_level="warning", access_log=False)
        await _Server(config, _registration(service)).serve()


def main() -> None:
    """Run the service that the environment describes."""
    try:
        service = Service()
    except ValidationError as error:
        sys.exit("\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()))
    with suppress(KeyboardInterrupt):
        asyncio.run(run(service))


if __name__ == "__main__":
    main()
