"""Decisions a second: OFREP over HTTP, a bare route of the same framework, and the evaluator alone."""

import asyncio
import json
import sys
import time

from bench import workload
from bench.flag_server import routing
from bench.processes import BenchError, running
from bench.scale import Scale
from bench.table import Table, number
from xds.routing import Request, evaluate

_SERVICES = 50
_CONNECTIONS = 16
_USERS = 1_000


def measure(scale: Scale) -> list[Table]:
    """Measure each by its CPU."""
    requests = 500 * scale.runs
    table = Table(
        "Decisions a second and core",
        "5,000 over HTTP",
        ("", "evaluations a request", "CPU a request", "requests a second and core", "evaluations"),
    )
    found = [("the evaluator alone", 1, _alone(requests))]
    with running([sys.executable, "-m", "bench.flag_server", str(_SERVICES)]) as server:
        one = f"/ofrep/v1/evaluate/flags/{workload.service(0)}"
        for name, path, evaluations in (
            ("a bare Starlette route", "/bare", 0),
            ("OFREP, one flag", one, 1),
            (f"OFREP, all flags of {_SERVICES} services", "/ofrep/v1/evaluate/flags", 3 * _SERVICES),
        ):
            some = requests // max(1, evaluations // 5)
            asyncio.run(_ask(server.xds, path, some // 10))  # warms up
            before = server.cpu
            asyncio.run(_ask(server.xds, path, some))
            found.append((name, evaluations, (server.cpu - before) / some))
    for name, evaluations, cpu in found:
        each = number(round(evaluations / cpu)) if evaluations else "–"
        table.rows.append([name, str(evaluations), f"{cpu * 1e6:,.0f} µs", number(round(1 / cpu)), each])
    table.notes.append(
        f"{_CONNECTIONS} connections; CPU is the server's alone. The rules are those of the other benchmarks,"
        " users are told by the targeting key."
    )
    return [table]


def _alone(requests: int) -> float:
    decided = routing(0)
    users = [Request(headers=(("x-user-id", f"user-{user}"),)) for user in range(_USERS)]
    began = time.process_time()
    for turn in range(requests):
        evaluate(decided, users[turn % _USERS])
    return (time.process_time() - began) / requests


async def _ask(port: int, path: str, requests: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for first in range(_CONNECTIONS):
            tasks.create_task(_connection(port, path, range(first, requests, _CONNECTIONS)))


async def _connection(port: int, path: str, turns: range) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for turn in turns:
        body = json.dumps({"context": {"targetingKey": f"user-{turn % _USERS}"}}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200"):
            raise BenchError(answer.decode())
        length = answer.partition(b"content-length: ")[2].partition(b"\r")[0]
        await reader.readexactly(int(length))
    writer.close()
