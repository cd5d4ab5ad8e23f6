"""A control plane in this process that compiles what a real Envoy refuses.

No document is known that compiles to such resources, so the compiler is made to: a host that begins with
``bad-route`` adds a route whose regex is none, one with ``bad-cluster`` a load balancing policy that is none.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
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
        await until(holding(lambda: self.status(service).state is state))
        return self.status(service)

    async def until_served(self, host: str, code: int = 200) -> None:
        async def served() -> bool:
            async with Client(self.edge_port) as client:
                return (await client.get(host)).status == code

        await until(served)


def holding(holds: Callable[[], bool]) -> Callable[[], Any]:
    async def check() -> bool:
        return holds()

    return check


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream("s", "v1") as running:
        yield running


async def rejected(envoy: EnvoyProcess) -> int:
    """Return how many updates an Envoy rejected."""
    return sum((await envoy.stats("update_rejected$")).values())
