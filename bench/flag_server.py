"""The HTTP port with OFREP and a bare route beside it: ``python -m bench.flag_server``."""

import asyncio
import sys
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench import workload
from xds import gc_tuning, logs
from xds.http import HttpServer
from xds.http.access import Access
from xds.http.events import Events
from xds.http.ofrep import Flags, FlagSource, ofrep_routes
from xds.http.security_headers import SecurityHeaders
from xds.routing import Routing, Surroundings, routing_of
from xds.rules.instance import ServiceId
from xds.rules.parse import parse

REGION = Surroundings().region_header


def routing(number: int) -> Routing:
    """Return what the document of a service decides."""
    rule = parse(workload.document(number), workload.text(number)).rule
    return routing_of(workload.service(number), rule, datetime.now(UTC))


def flags(services: int) -> Flags:
    """Return the flags of so many services."""
    routings = {ServiceId("", workload.service(number)): routing(number) for number in range(services)}
    source = FlagSource(
        services=lambda: routings,
        routing=routings.__getitem__,
        revision=lambda _: "0123456789abcdef",
        enabled=lambda _: True,
        version=lambda: "1",
        region_header=REGION,
    )
    return Flags(source)


async def _bare(request: Request) -> Response:
    """Answer as OFREP does, without deciding anything."""
    await request.body()
    metadata = {"rule": "ramp", "revision": "0123456789abcdef", "bucket": 123456}
    return JSONResponse(
        {"key": "a", "reason": "SPLIT", "variant": "stable", "value": "stable", "metadata": metadata}
    )


async def _main(services: int) -> None:
    ofrep = ofrep_routes(flags(services), REGION, Access([], loopback=True), Events())
    routes = [Route("/bare", _bare, methods=["POST"]), *ofrep]
    server = HttpServer(Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)]))
    print(server.bind("127.0.0.1", 0), 0, flush=True)
    serving = asyncio.create_task(server.run())
    await asyncio.to_thread(sys.stdin.read)
    serving.cancel()


if __name__ == "__main__":
    logs.configure("info", "json")
    gc_tuning.look_rarely()
    asyncio.run(_main(int(sys.argv[1])))
