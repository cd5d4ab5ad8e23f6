"""A change of very many services in parts: what may happen at the pauses in between."""

import weakref
from collections.abc import Mapping, Set
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.harness.routing import routing
from xds.cache import Cache, Ref
from xds.compiler.listeners import EdgeListener, SidecarListeners
from xds.compiler.route_sources import RouteMode
from xds.documents.identity import DocumentId, Origin
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import RuleDocument
from xds.type_urls import ROUTE
from xds.views import CompiledService, EdgeGroup, ListenerSettings, NodeGroup, ServiceInputs, Services

EDGE = EdgeGroup("edge")


class World:
    """Services that an edge sees, and what was told of its view."""

    def __init__(self, mode: RouteMode) -> None:
        settings = ListenerSettings(
            lambda _: EdgeListener("127.0.0.1", 1, routes=mode), lambda _: SidecarListeners("127.0.0.1", 1, 2)
        )
        self.services = Services(Cache(), settings, changed=self._changed)
        self.view = self.services.view_of(EDGE, now=0.0).filled()
        # For each call: the generation that was told and the services.
        self.told: list[tuple[int, set[str]]] = []

    def _changed(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        self.told.append((generation, {service.name for service in services}))


def service(number: int, revision: str) -> CompiledService:
    name = f"s{number:05}"
    rule = RuleDocument(service=name, hosts=(f"{revision}.{name}.example.com",), gateways=("edge",))
    origins = (Origin(DocumentId("", f"{name}.yaml"), revision),)
    return CompiledService.of(
        ServiceInputs(ServiceId("", name), routing(name, rule), origins, [Instance("127.0.0.1", 80)])
    )


def services(count: int, revision: str) -> dict[ServiceId, CompiledService | None]:
    made = [service(number, revision) for number in range(count)]
    return {one.id: one for one in made}


@pytest.mark.parametrize("mode", RouteMode)
@pytest.mark.parametrize("count", [1, 32, 64, 100, 256])
def test_what_changed_is_told_with_the_last_change_of_the_view(mode: RouteMode, count: int) -> None:
    world = World(mode)
    for revision in ("r1", "r2"):
        world.told.clear()
        untold = [world.view.generation]
        for _ in world.services.apply(services(count, revision)):
            if world.told:
                assert world.told[0][0] == world.view.generation, "nothing changes after it was told"
            else:
                untold.append(world.view.generation)
        [(generation, named)] = world.told
        assert len(named) == count
        assert untold[-1] == generation - 1, "a client could answer the last change before it was told"


def test_one_route_configuration_is_put_together_in_parts() -> None:
    pauses = {}
    for count in (1_000, 4_000):
        world = World(RouteMode.SHARED)
        one = service(0, "r1")
        # What is measured is the RouteConfiguration: all but its length is the same for all.
        many = {ServiceId("", f"s{number:05}"): one for number in range(count)}
        renamed = {
            each: replace(service, id=each, mesh_names=(each.name,), hosts=(f"{each.name}.example.com",))
            for each, service in many.items()
        }
        for _ in world.services.apply(renamed):
            pass
        edited = replace(renamed[ServiceId("", "s00000")], edge=b"", requires=frozenset())
        pauses[count] = sum(1 for _ in world.services.apply({edited.id: edited}))
        assert world.view.get(Ref(ROUTE, "edge"))
    assert pauses[4_000] - pauses[1_000] == 3


def test_what_was_before_is_let_go_in_parts() -> None:
    world = World(RouteMode.SCOPED)
    freed: list[object] = []
    before = services(1_000, "r1")
    for one in before.values():
        assert one
        weakref.finalize(one.requires, freed.append, one.id)
    for _ in world.services.apply(before):
        pass
    before.clear()
    del one
    counts = [0, *(len(freed) for _ in world.services.apply(services(1_000, "r2")))]
    assert counts[-1] >= 999
    assert all(after - before <= 256 for before, after in pairwise(counts))
