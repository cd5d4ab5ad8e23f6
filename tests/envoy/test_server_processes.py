"""Several processes that serve streams look like one server, and one that dies costs nobody anything."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import psutil
import pytest
import yaml
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.status.v3 import ClientStatusResponse
from envoy_data_plane.google.protobuf import Struct

from tests.harness import PATIENCE
from tests.harness.certificates import Authority, Pair
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.unit.server.clients import DeltaStream
from xds.server.client_status import SERVICE
from xds.type_urls import CLUSTER

HOST = "reviews.example.com"
PROCESSES = 3
STREAMS = 40
"""So many that each process has some."""


def rule(subset: str) -> dict[str, Any]:
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [{"name": "all", "route": [{"subset": subset}]}],
    }


class World:
    """Grayplane with several server processes, and an Envoy edge."""

    def __init__(self, grayplane: Grayplane, envoy: EnvoyProcess, client: Client) -> None:
        self.grayplane = grayplane
        self.envoy = envoy
        self.client = client

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as api:
            answer = await api.get(f"http://127.0.0.1:{self.grayplane.http_port}/api/v1{path}")
        assert answer.is_success, answer.text
        return answer.json()

    async def nodes(self) -> set[str]:
        """Return the nodes whose streams the API lists."""
        return {proxy["id"] for proxy in (await self.get("/proxies?limit=200"))["items"]}

    async def pushes(self) -> float:
        """Return how many responses were sent, as the metrics say."""
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            text = (await http.get(f"http://127.0.0.1:{self.grayplane.http_port}/metrics")).text
        return float(text.partition("\ngrayplane_pushes_total ")[2].partition("\n")[0])

    async def until_answered_by(self, version: str) -> None:
        async def holds() -> bool:
            answer = await self.client.get(HOST)
            assert answer.status == 200
            return bool(answer.json()["version"] == version)

        await until(holds)

    async def until_programmed(self, proxies: int) -> None:
        async def holds() -> bool:
            said = await self.get("/documents/reviews.yaml")
            return bool(
                said["state"] == "Programmed"
                and said["proxies"]["programmed"] == said["proxies"]["of"] == proxies
            )

        await until(holds)

    def processes(self) -> list[psutil.Process]:
        """Return the server processes."""
        return psutil.Process(self.grayplane.process_id).children()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Upstream("reviews", "v1") as v1, Upstream("reviews", "v2") as v2:
        grayplane = Grayplane(tmp_path, "--set", f"xds.processes={PROCESSES}")
        grayplane.rule("reviews.yaml", rule("stable"))
        grayplane.instances("reviews", v1, v2)
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
            Client(grayplane.edge_port) as client,
        ):
            yield World(grayplane, envoy, client)


async def open_streams(stack: AsyncExitStack, world: World) -> set[str]:
    """Open streams that acknowledge; return their nodes."""

    async def talk(stream: DeltaStream, node: str) -> None:
        await stream.ask(CLUSTER, node=Node(id=node, cluster="edge"))
        while True:
            await stream.ack(await stream.next())

    names = {f"node-{number}" for number in range(STREAMS)}
    for name in names:
        stream = await stack.enter_async_context(DeltaStream(world.grayplane.xds_port))
        task = asyncio.create_task(talk(stream, name))
        stack.callback(task.cancel)
    return names


async def client_status(port: int) -> set[str]:
    """Return the nodes that client status discovery lists."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        method = channel.unary_unary(f"/{SERVICE}/FetchClientStatus")
        clients = ClientStatusResponse.parse(await method(b"")).config
        return {client.node.id for client in clients if client.node}


async def test_all_processes_together_are_one_server(world: World) -> None:
    async with AsyncExitStack() as stack:
        names = await open_streams(stack, world)

        async def all_are_listed() -> bool:
            return await world.nodes() >= names

        async def some_are_gone() -> bool:
            return STREAMS > len(await world.nodes() & names) > 0

        await until(all_are_listed)
        processes = world.processes()
        assert len(processes) == PROCESSES
        connections = [len(each.net_connections()) for each in processes]
        assert all(count > 1 for count in connections), "each listens, and has streams"
        await world.until_answered_by("v1")
        await world.until_programmed(STREAMS + 1)

        assert await client_status(world.grayplane.xds_port) >= names, "whichever process is asked"

        async def pushes_are_counted() -> bool:
            return await world.pushes() > STREAMS

        await until(pushes_are_counted)

        world.grayplane.rule("reviews.yaml", rule("gray"))
        await world.until_answered_by("v2")
        await world.until_programmed(STREAMS + 1)

        # One is killed: its streams are gone, the others go on, and another takes its place.
        lost = max(processes, key=lambda each: len(each.net_connections()))
        os.kill(lost.pid, signal.SIGKILL)
        said = await world.grayplane.until_logged(lambda entry: "a server process ended" in entry["event"])
        assert said["streams_lost"] > 0
        await until(some_are_gone)

        async def replaced() -> bool:
            return len(world.processes()) == PROCESSES and lost.pid not in {
                each.pid for each in world.processes()
            }

        await until(replaced)

        async def connected() -> bool:
            return await world.envoy.stats("control_plane.connected_state") == {
                "control_plane.connected_state": 1
            }

        await until(connected)
        world.grayplane.rule("reviews.yaml", rule("stable"))
        await world.until_answered_by("v1")
        rejected = await world.envoy.stats(".*update_rejected")
        assert rejected
        assert not any(rejected.values())
    processes = world.processes()
    assert await world.grayplane.stop() == 0
    assert not [each for each in processes if each.is_running()]


async def test_a_rejection_at_one_process_protects_the_proxies_of_all(world: World) -> None:
    async with DeltaStream(world.grayplane.xds_port) as stream:
        await stream.ask(CLUSTER, node=Node(id="picky", cluster="edge"))
        first = await stream.next()
        await stream.ack(first)
        await world.until_programmed(2)
    # Envoy is stopped, so that nobody acknowledges what this client rejects.
    os.kill(world.envoy.pid, signal.SIGSTOP)
    try:
        async with DeltaStream(world.grayplane.xds_port) as stream:
            held = {each.name: each.version for each in first.resources}
            await stream.ask(CLUSTER, node=Node(id="picky", cluster="edge"), initial_resource_versions=held)
            changed = {
                **rule("stable"),
                "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "3s"}}},
            }
            world.grayplane.rule("reviews.yaml", changed)
            news = await stream.next()
            assert {each.name: each.version for each in news.resources}.items() != held.items()
            await stream.nack(news, "not this")
            said = await world.grayplane.until_logged(lambda entry: entry["event"].startswith("quarantined"))
            assert said["reason"] == "not this"
            back = await stream.next()
            assert {each.name: each.version for each in back.resources}.items() <= held.items()
            await stream.ack(back)
    finally:
        os.kill(world.envoy.pid, signal.SIGCONT)
    await world.until_answered_by("v1")


async def test_a_port_that_is_taken_is_told(tmp_path: Path, world: World) -> None:
    (tmp_path / "other").mkdir()
    other = Grayplane(tmp_path / "other", "--set", f"xds.processes={PROCESSES}")
    other.set("xds.port", str(world.grayplane.xds_port))
    with pytest.raises(AssertionError, match="is another program using the port"):
        await other.start()


async def test_when_the_parent_is_killed_all_end_and_the_next_one_takes_the_port(tmp_path: Path) -> None:
    grayplane = Grayplane(tmp_path, "--set", "xds.processes=2", "--set", "limits.connection_age=2")
    async with grayplane, AsyncExitStack() as stack:
        stream = await stack.enter_async_context(DeltaStream(grayplane.xds_port))
        await stream.ask(CLUSTER)
        # Streams end with their age, in good order.
        while await stream.receive() is not None:
            pass
        assert await stream.status() == (grpc.StatusCode.OK, "")
        processes = psutil.Process(grayplane.process_id).children()
        assert len(processes) == 2
        stream.open()
        await stream.ask(CLUSTER)
        await grayplane.kill()
        await asyncio.to_thread(psutil.wait_procs, processes, timeout=PATIENCE)
        assert not [each for each in processes if each.is_running()]
        await grayplane.start()


async def test_streams_of_a_revoked_certificate_end_in_whichever_process(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    server = authority.server()
    good, stolen = (authority.issue(name, dns=["edge.internal"]) for name in ("good", "stolen"))
    revoked = tmp_path / "revoked.pem"
    revoked.write_bytes(authority.revoke())
    settings = tmp_path / "settings.yaml"
    tls = {
        "certificate": str(server.certificate),
        "key": str(server.key),
        "client_ca": str(authority.file),
        "crl": str(revoked),
    }
    xds = {"tls": tls, "grants": [{"identity": "dns:edge.internal"}], "processes": 2}
    settings.write_text(yaml.safe_dump({"xds": xds}))
    grayplane = Grayplane(tmp_path, "--config", str(settings))

    async def streams_of(stack: AsyncExitStack, pair: Pair) -> list[DeltaStream]:
        read = (authority.file.read_bytes(), pair.key.read_bytes(), pair.certificate.read_bytes())
        opened = []
        for number in range(8):
            credentials = grpc.ssl_channel_credentials(*read)
            stream = DeltaStream(grayplane.xds_port, credentials=credentials)
            opened.append(await stack.enter_async_context(stream))
            name, role = f"{pair.certificate.name}-{number}", Struct.from_dict({"role": "edge"})
            await stream.ask(CLUSTER, node=Node(id=name, cluster="edge", metadata=role))
            await stream.next()
        return opened

    async with grayplane, AsyncExitStack() as stack:
        goods, stolens = await streams_of(stack, good), await streams_of(stack, stolen)
        fresh = revoked.with_suffix(".new")
        fresh.write_bytes(authority.revoke(stolen))
        fresh.replace(revoked)
        for stream in stolens:
            while await stream.receive() is not None:
                pass
        with pytest.raises(grpc.aio.AioRpcError, match="PERMISSION_DENIED"):
            await streams_of(stack, stolen)
        assert not any(stream.call.done() for stream in goods)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            metrics = (await client.get(f"http://127.0.0.1:{grayplane.http_port}/metrics")).text
        assert "grayplane_streams_denied_total 1.0" in metrics
        assert 'grayplane_server_process_running{process="2"} 1.0' in metrics
