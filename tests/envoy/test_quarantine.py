"""Resources that we accept and a real Envoy refuses: they hurt nobody else, and the right document is blamed.

No document is known that compiles to such resources, so the compiler is made to: a host that begins with
``bad-route`` adds a route whose regex is none, one with ``bad-cluster`` a load balancing policy that is none.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.route.v3 import (
    RedirectAction,
    Route,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_ports
from xds.cache import Resource
from xds.composition.control_plane import ControlPlane
from xds.documents import DocumentId
from xds.rules.instance import Instance, ServiceId
from xds.settings import Edge, Group, Http, Settings, Stage, Validation, Xds
from xds.sources.base import DocumentChanged, InstancesChanged, Synced
from xds.sources.change_buffer import ChangeBuffer
from xds.status import DocumentState, DocumentStatus
from xds.views import CompiledService, ServiceInputs
from xds.wire import encode

_compile = CompiledService.of.__func__  # type: ignore[attr-defined]  # a class method's function


def _compile_badly(cls: type[CompiledService], inputs: ServiceInputs, _: object = None) -> CompiledService:
    compiled: CompiledService = _compile(cls, inputs)  # nothing of an earlier one, which may be wrong
    if any(host.startswith("bad-route") for host in compiled.hosts):
        regex = RouteMatch(safe_regex=RegexMatcher(regex="("))
        wrong = encode(VirtualHost(routes=[Route(match=regex, redirect=RedirectAction(path_redirect="/"))]))
        return replace(compiled, edge=(compiled.edge or b"") + wrong)
    if any(host.startswith("bad-cluster") for host in compiled.hosts):
        wrong = encode(Cluster(dns_lookup_family=99))  # type: ignore[arg-type]  # that is what is wrong
        clusters = tuple(
            Resource.of(each.type_url, each.name, each.body + wrong, warms=each.warms, origins=each.origins)
            for each in compiled.clusters
        )
        return replace(compiled, clusters=clusters)
    return compiled


@pytest.fixture(autouse=True)
def bad_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompiledService, "of", classmethod(_compile_badly))


class World:
    """A control plane in this process whose source is the test."""

    def __init__(
        self, home: Path, routes: str, *stages: Stage, validator: str | None = None, timeout: float = 60
    ) -> None:
        xds, http, self.edge_port = free_ports(3)
        self.settings = Settings(
            xds=Xds(port=xds),
            http=Http(port=http),
            edge=Edge(port=self.edge_port, routes=routes),
            groups={"edge": Group(stages=stages)},
            state_dir=home,
            validation=Validation(envoy=validator, timeout=timeout) if validator else Validation(),
        )
        self.texts: dict[str, str] = {}

    def edit(self, service: str, *hosts: str) -> None:
        self.texts[service] = yaml.safe_dump({"hosts": list(hosts)})
        self.buffer.put(self._document(service))

    def _document(self, service: str) -> DocumentChanged:
        return DocumentChanged(DocumentId("", f"{service}.yaml"), self.texts[service].encode())

    def status(self, service: str) -> DocumentStatus:
        found = self.control_plane.status.document(DocumentId("", f"{service}.yaml"))
        assert found
        return found

    @asynccontextmanager
    async def running(self, upstream: Upstream) -> AsyncIterator[None]:
        self.buffer = ChangeBuffer()
        self.control_plane = ControlPlane(self.settings, self.buffer)
        for service in self.texts:
            self.buffer.put(self._document(service))
            instances = (Instance("127.0.0.1", upstream.port),)
            self.buffer.put(InstancesChanged(ServiceId("", service), instances))
        self.buffer.put(Synced())
        task = asyncio.create_task(self.control_plane.run(asyncio.Event().wait()))  # type: ignore[arg-type]
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def envoy(self, name: str = "edge-1") -> EnvoyProcess:
        shipped = Path(__file__).parents[2] / "envoy" / "edge.yaml"
        bootstrap = yaml.safe_load(shipped.read_text())
        bootstrap["node"]["id"] = name
        bootstrap["admin"]["address"]["socket_address"]["port_value"] = 0
        [cluster] = bootstrap["static_resources"]["clusters"]
        [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = self.settings.xds.port
        return EnvoyProcess(bootstrap)

    async def until_state(self, service: str, state: DocumentState) -> DocumentStatus:
        await until(_holds(lambda: self.status(service).state is state))
        return self.status(service)

    async def until_served(self, host: str, code: int = 200) -> None:
        async def served() -> bool:
            async with Client(self.edge_port) as client:
                return (await client.get(host)).status == code

        await until(served)


def _holds(holds: Callable[[], bool]) -> Callable[[], Any]:
    async def check() -> bool:
        return holds()

    return check


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream("s", "v1") as running:
        yield running


@pytest.mark.parametrize("routes", ["shared", "scoped"])
@pytest.mark.parametrize("bad", ["bad-route", "bad-cluster"])
async def test_a_bad_version_is_quarantined_and_the_last_acknowledged_one_served(
    tmp_path: Path, upstream: Upstream, routes: str, bad: str
) -> None:
    world = World(tmp_path, routes)
    world.texts = {name: f"hosts: [{name}.example.com]" for name in ("a", "b", "c")}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running(upstream))
        await stack.enter_async_context(world.envoy())
        for name in "abc":
            await world.until_served(f"{name}.example.com")
            await world.until_state(name, DocumentState.PROGRAMMED)
        world.edit("a", "a.example.com", f"{bad}.example.com")
        status = await world.until_state("a", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.node == "edge-1"
        assert status.quarantine.served is not None
        assert status.quarantine.reason
        world.edit("b", "b.example.com", "new.example.com")
        await world.until_served("new.example.com")
        await world.until_served("a.example.com")
        await world.until_state("b", DocumentState.PROGRAMMED)
        world.edit("a", "a.example.com", "good.example.com")
        await world.until_served("good.example.com")
        await world.until_state("a", DocumentState.PROGRAMMED)


async def test_of_two_broken_documents_each_is_blamed_and_the_others_go_on(
    tmp_path: Path, upstream: Upstream
) -> None:
    world = World(tmp_path, "shared")
    world.texts = {f"s{number}": f"hosts: [s{number}.example.com]" for number in range(12)}
    with structlog.testing.capture_logs() as logs:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(world.running(upstream))
            await stack.enter_async_context(world.envoy())
            await world.until_served("s0.example.com")
            await world.until_state("s11", DocumentState.PROGRAMMED)
            for number in range(12):
                bad = "bad-route." if number in {3, 7} else "new."
                world.edit(f"s{number}", f"{bad}s{number}.example.com", f"s{number}.example.com")
            for number in range(12):
                state = DocumentState.QUARANTINED if number in {3, 7} else DocumentState.PROGRAMMED
                await world.until_state(f"s{number}", state)
                await world.until_served(f"s{number}.example.com")
                await world.until_served(f"new.s{number}.example.com", 404 if number in {3, 7} else 200)
    quarantined = [entry for entry in logs if entry["event"].startswith("quarantined")]
    assert sorted(entry["documents"] for entry in quarantined) == [["s3.yaml"], ["s7.yaml"]]


async def test_a_new_stream_that_begins_with_a_bad_version_has_the_others(
    tmp_path: Path, upstream: Upstream
) -> None:
    world = World(tmp_path, "shared")
    world.texts = {f"s{number}": f"hosts: [s{number}.example.com]" for number in range(9)}
    world.texts["s4"] = "hosts: [bad-route.example.com]"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running(upstream))
        await stack.enter_async_context(world.envoy())
        for number in range(9):
            if number != 4:
                await world.until_served(f"s{number}.example.com")
        status = await world.until_state("s4", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.served is None


async def test_a_quarantine_survives_restarts_of_envoy_and_of_grayplane(
    tmp_path: Path, upstream: Upstream
) -> None:
    world = World(tmp_path, "shared")
    world.texts = {name: f"hosts: [{name}.example.com]" for name in ("a", "b")}
    async with world.running(upstream):
        async with world.envoy():
            await world.until_served("a.example.com")
            await world.until_state("a", DocumentState.PROGRAMMED)
            world.edit("a", "a.example.com", "bad-route.example.com")
            await world.until_state("a", DocumentState.QUARANTINED)
        async with world.envoy("edge-2") as envoy:
            await world.until_served("a.example.com")
            assert await _rejected(envoy) == 0
    async with world.running(upstream), world.envoy("edge-3") as envoy:
        await world.until_served("a.example.com")
        await world.until_served("b.example.com")
        status = await world.until_state("a", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.node == "edge-1"
        assert await _rejected(envoy) == 0


async def test_a_change_that_the_first_proxy_rejects_never_reaches_the_second(
    tmp_path: Path, upstream: Upstream
) -> None:
    # Both proxies listen on the same port of this machine, so requests say nothing of either.
    world = World(tmp_path, "scoped", Stage(proxies="1"), Stage(proxies="100%"))
    world.texts = {"a": "hosts: [a.example.com]"}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running(upstream))
        first = await stack.enter_async_context(world.envoy("edge-1"))
        await world.until_state("a", DocumentState.PROGRAMMED)
        second = await stack.enter_async_context(world.envoy("edge-2"))
        await until(_holds(lambda: world.status("a").proxies.programmed == 2))
        updates = await _updates(second)
        world.edit("a", "a.example.com", "bad-route.example.com")
        status = await world.until_state("a", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.node == "edge-1"
        assert await _rejected(first) > 0
        assert await _updates(second) == updates
        world.edit("a", "a.example.com", "good.example.com")
        await until(_holds(lambda: world.status("a").proxies.programmed == 2))
        await world.until_state("a", DocumentState.PROGRAMMED)

        async def arrived() -> bool:
            return await _updates(second) > updates

        await until(arrived)
        assert await _rejected(second) == 0


async def _updates(envoy: EnvoyProcess) -> int:
    return sum((await envoy.stats("scoped_rds.*update_success$|srds.*update_success$")).values())


async def _rejected(envoy: EnvoyProcess) -> int:
    return sum((await envoy.stats("update_rejected$")).values())
