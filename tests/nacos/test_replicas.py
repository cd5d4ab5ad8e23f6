"""Several Grayplanes on one Nacos, and several servers of one Nacos."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.nacos import port_pair, rnacos_process
from tests.harness.nacos_console import Console, console
from tests.harness.ports import free_port
from tests.harness.tcp_proxy import TcpProxy, tcp_proxy
from tests.harness.traffic import Traffic
from tests.nacos.outage import NAMESPACE, until_trouble, until_well
from tests.nacos.world import HOST, rule, until_answered

pytestmark = pytest.mark.outage


@contextlib.asynccontextmanager
async def reviews(operator: Console) -> AsyncIterator[None]:
    """A service with two versions, all of whose requests are answered by v2."""
    async with Upstream("reviews", "v1") as v1, Upstream("reviews", "v2") as v2:
        for upstream in (v1, v2):
            await operator.register(
                "reviews", "127.0.0.1", upstream.port, {"version": upstream.version, "zone": "a"}
            )
        await operator.publish("reviews.yaml", rule(100))
        yield


def resources_acknowledged(grayplane: Grayplane, seen: int) -> int:
    """How many resources clients acknowledged since an entry of the log."""
    return sum(entry["count"] for entry in grayplane.log()[seen:] if entry["event"] == "acknowledged")


async def connected(grayplane: Grayplane, seen: int) -> None:
    """Wait until a client is connected and has everything."""
    await grayplane.until_logged(lambda entry: entry["event"] == "client connected", seen)

    async def holds() -> bool:
        async with Client(grayplane.http_port) as http:
            proxies = (await http.get("localhost", "/api/v1/proxies")).json()["items"]
        return [each["state"] for each in proxies] == ["in step"]

    await until(holds)


async def test_a_proxy_that_moves_between_replicas_is_sent_nothing(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        nacos = stack.enter_context(rnacos_process(tmp_path / "nacos"))
        operator = await stack.enter_async_context(console(nacos.server, NAMESPACE))
        await stack.enter_async_context(reviews(operator))
        replicas: list[Grayplane] = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            replica = Grayplane(
                tmp_path / name,
                *("--nacos", nacos.server.address, "--set", "log.level=debug"),
                environment=nacos.server.environment(NAMESPACE),
            )
            if replicas:
                replica.set("edge.port", str(replicas[0].edge_port))
            replicas.append(await stack.enter_async_context(replica))
        a, b = replicas
        address = free_port()
        bootstrap = a.bootstrap("edge")
        [cluster] = bootstrap["static_resources"]["clusters"]
        [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = address

        balancer = await stack.enter_async_context(_Balancer(address))
        await balancer.to(a)
        await stack.enter_async_context(EnvoyProcess(bootstrap))
        client = await stack.enter_async_context(Client(a.edge_port))
        await until_answered(client, "v2")
        await connected(a, 0)
        assert resources_acknowledged(a, 0) > 0
        async with Traffic(a.edge_port, HOST) as traffic:
            for there, version in ((b, "v1"), (a, "v2"), (b, "v1")):
                seen = len(there.log())
                await balancer.to(there)
                await connected(there, seen)
                assert resources_acknowledged(there, seen) == 0
                await operator.publish("reviews.yaml", rule({"v1": 0, "v2": 100}[version]))
                await until_answered(client, version)
                assert resources_acknowledged(there, seen) > 0
        assert traffic.failed == {}
        assert traffic.answered > 0


class _Balancer:
    """An address whose connections go to one replica."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "_Balancer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def to(self, replica: Grayplane) -> None:
        await self._stack.aclose()
        await self._stack.enter_async_context(tcp_proxy("127.0.0.1", {self._port: replica.xds_port}))


async def test_of_three_servers_the_connected_ones_go_away(tmp_path: Path) -> None:
    """The first falls silent, the second refuses connections, and at last the third does, too."""
    async with contextlib.AsyncExitStack() as stack:
        nacos = stack.enter_context(rnacos_process(tmp_path / "nacos"))
        operator = await stack.enter_async_context(console(nacos.server, NAMESPACE))
        await stack.enter_async_context(reviews(operator))
        servers: dict[str, TcpProxy] = {}
        for _ in range(3):
            port = port_pair()
            ports = {port: nacos.port, port + 1000: nacos.port + 1000}
            servers[f"127.0.0.1:{port}"] = await stack.enter_async_context(tcp_proxy("127.0.0.1", ports))
        grayplane = await stack.enter_async_context(
            Grayplane(
                tmp_path,
                *("--nacos", ",".join(servers)),
                environment=nacos.server.environment(NAMESPACE),
            )
        )
        await stack.enter_async_context(EnvoyProcess(grayplane.bootstrap("edge")))
        client = await stack.enter_async_context(Client(grayplane.edge_port))
        await until_answered(client, "v2")

        async def connected_to_others_than(gone: str) -> str:
            async def holds() -> bool:
                connected = (await grayplane.ready())["source"]["servers"]
                return connected != [] and gone not in connected

            await until(holds)
            return str((await grayplane.ready())["source"]["servers"][0])

        async with Traffic(grayplane.edge_port, HOST) as traffic:
            first = await connected_to_others_than("")
            servers[first].hang()
            await operator.publish("reviews.yaml", rule(0))
            await until_answered(client, "v1")
            second = await connected_to_others_than(first)
            await servers[second].cut()
            await operator.publish("reviews.yaml", rule(100))
            await until_answered(client, "v2")
            last = await connected_to_others_than(second)
            assert {first, second, last} == set(servers)
            await servers[last].cut()
            await until_trouble(grayplane, "cannot be reached")
            reason = (await grayplane.ready())["trouble"]
            assert all(server in reason for server in servers), json.dumps(reason)
            await operator.publish("reviews.yaml", rule(0))
            await servers[second].start()
            await until_answered(client, "v1")
            await until_well(grayplane)
        # One for each that went away, at most: the first two were made up for at once.
        assert len(grayplane.warnings()) <= 3
        assert traffic.failed == {}
        assert traffic.answered > 0
