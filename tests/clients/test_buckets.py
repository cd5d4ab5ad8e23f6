"""An edge says which bucket a user is in; gRPC clients behind it decide by that exactly as the edge did."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import grpc.aio

from tests.clients.client import METHOD
from tests.clients.conftest import SERVICE, Mesh
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import until
from tests.harness.http import Client, Upstream
from xds.routing import Request, evaluate, routing_of
from xds.rules.model import RuleDocument

_RULES: dict[str, Any] = {
    "hosts": ["reviews.example.com"],
    "trafficPolicy": {"protocol": "grpc"},
    "clients": ["envoy", "grpc"],
}
_RAMP: dict[str, Any] = {
    "name": "ramp",
    "sticky": {"header": "x-user-id"},
    "route": [{"subset": "stable", "weight": 70}, {"subset": "gray", "weight": 30}],
}
# Also of more than 32 bytes, which the hash treats otherwise.
_USERS = [f"user-{number}" + "-of-a-long-name" * (number % 4) for number in range(100)]
_FRONT = "front.example.com"


async def test_a_client_behind_an_edge_decides_as_the_edge(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    await mesh.grayplane.stop()
    mesh.grayplane.set("bucket_by", "x-user-id")
    await mesh.grayplane.start()
    mesh.rule(_RAMP, **_RULES)
    async with Upstream("front", "v1") as front:
        mesh.grayplane.instances("front", front)
        mesh.grayplane.rule("front.yaml", {"hosts": [_FRONT]})
        await mesh.connect()
        async with (
            EnvoyProcess(mesh.grayplane.bootstrap("edge")),
            Client(mesh.grayplane.edge_port) as edge,
            grpc.aio.insecure_channel(
                f"127.0.0.1:{mesh.grayplane.edge_port}",
                options=[("grpc.default_authority", "reviews.example.com")],
            ) as channel,
        ):
            await until(lambda: _is_served(edge))
            evaluated = {user: _evaluated(user) for user in _USERS}
            assert {user: await _through_edge(channel, user) for user in _USERS} == evaluated
            buckets = {user: await _bucket(edge, ("x-user-id", user)) for user in _USERS}
            behind = {user: await mesh.version(x_gray_bucket=str(buckets[user])) for user in _USERS}
            assert behind == evaluated
            assert set(evaluated.values()) == {"v1", "v2"}
            # What an outsider says is taken away, or overwritten.
            assert await _bucket(edge, ("x-gray-bucket", "5")) is None
            user = _USERS[0]
            assert await _bucket(edge, ("x-gray-bucket", "5"), ("x-user-id", user)) == buckets[user]


async def _is_served(edge: Client) -> bool:
    return (await edge.get(_FRONT)).status == 200


async def _bucket(edge: Client, *headers: tuple[str, str]) -> str | None:
    """Return the bucket header that a service behind the edge gets."""
    seen: dict[str, str] = (await edge.get(_FRONT, headers=headers)).json()["headers"]
    return seen.get("x-gray-bucket")


async def _through_edge(channel: grpc.aio.Channel, user: str) -> str:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
    async with asyncio.timeout(30):
        return (await call(b"", metadata=(("x-user-id", user),), wait_for_ready=True)).decode()


def _evaluated(user: str) -> str:
    subsets = {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}}
    rules = {"service": SERVICE, "subsets": subsets, "baseline": "stable", "http": [_RAMP]}
    routing = routing_of(SERVICE, RuleDocument.model_validate(rules), datetime.now(UTC))
    [target] = evaluate(routing, Request(headers=(("x-user-id", user),))).targets()
    return {"stable": "v1", "gray": "v2"}[str(target.subset)]
