"""What others ask of the pipeline, and what they have it do besides."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.pipeline.proxies import running
from xds.documents import DocumentId
from xds.routing import Overrides
from xds.rules.instance import ServiceId
from xds.rules.parse import parse
from xds.type_urls import LISTENER
from xds.views import GrpcClientGroup

SUBSETS = "subsets: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\nbaseline: v1\n"
SPLIT = "http: [{name: all, route: [{subset: v1, weight: 90}, {subset: v2, weight: 10}]}]\n"
NONE = "there is no instance of new: requests fail"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept.sqlite"


@pytest.mark.parametrize(
    ("document", "text", "said"),
    [
        ("new.yaml", "hosts: [new.example.com]\n", [NONE]),
        ("new.yaml", "hosts: [a.example.com]\n", ["a.example.com on gateway edge is served by a.yaml", NONE]),
        ("a.yaml", "hosts: [a.example.com]\n", []),
        ("new.yaml", "host: [new.example.com]\n", ["unknown field"]),
        (
            "a.yaml",
            SUBSETS + SPLIT,
            [
                "no instance of a has version=v1",
                "no instance of a has version=v2: its requests go to v1",
            ],
        ),
        ("vip.list", "x\nx\n", ['"x" is given twice, first at line 1']),
    ],
    ids=["good", "taken", "same", "unknown", "instances", "list"],
)
async def test_a_text_is_checked_beside_what_is_in_force(
    kept: Path, document: str, text: str, said: list[str]
) -> None:
    async with running(kept) as world:
        world.register("a", 80)
        await world.start(a="a.example.com")
        parsed, problems = await world.pipeline.check(DocumentId("", document), text.encode())
        assert [problem.message for problem in problems] == said
        assert {problem.document for problem in problems} <= {document}
        assert bool(parsed.content) is (said != ["unknown field"])
        assert world.proxy().is_sent() == ["a.example.com"]


async def test_a_text_is_checked_at_the_time_of_the_clock(kept: Path) -> None:
    ended = 'http: [{name: r, match: [{schedule: {until: "2026-01-01T00:00:00Z"}}], route: [{subset: v2}]}]\n'
    async with running(kept) as world:
        await world.start()
        for now, told in (
            (datetime(2025, 1, 1, tzinfo=UTC), False),
            (datetime(2027, 1, 1, tzinfo=UTC), True),
        ):
            world.now = now.timestamp()
            _, problems = await world.pipeline.check(DocumentId("", "a.yaml"), (SUBSETS + ended).encode())
            assert any("schedule" in problem.path for problem in problems) is told


async def test_what_is_decided_now_and_would_be(kept: Path) -> None:
    service = ServiceId("", "a")
    async with running(kept) as world:
        await world.start(a="a.example.com")
        pipeline = world.pipeline
        assert pipeline.exists(service)
        assert not pipeline.exists(ServiceId("", "b"))
        world.register("b", 80)
        await world.settle()
        assert pipeline.exists(ServiceId("", "b"))
        assert pipeline.services == {service, ServiceId("", "b")}
        assert pipeline.texts[DocumentId("", "a.yaml")] == b"hosts: [a.example.com]\n"
        assert [decision.name for decision in pipeline.routing(service).decisions] == ["a"]
        would_be = parse("a.yaml", (SUBSETS + SPLIT).encode()).rule
        assert [decision.name for decision in pipeline.routing(service, would_be).decisions] == [
            "all",
            "baseline",
        ]


async def test_overrides_are_in_force_until_they_are_taken_back(kept: Path) -> None:
    service = ServiceId("", "a")
    async with running(kept) as world:
        await world.start(a="a.example.com")
        view = world.proxy().view
        before = view.generation
        origins = world.services.get(service)
        world.pipeline.set_overrides(service, Overrides(measured=True))
        await world.until(lambda: view.generation > before)
        measured = view.generation
        assert world.services.get(service) != origins
        world.pipeline.set_overrides(service, None)
        await world.until(lambda: view.generation > measured)
        now = world.services.get(service)
        assert now
        assert origins
        assert now.edge == origins.edge


async def test_services_are_compiled_for_grpc_clients_from_when_the_first_is_seen(kept: Path) -> None:
    group = GrpcClientGroup("clients")
    async with running(kept) as world:
        await world.start(a="a.example.com")
        view = world.services.view_of(group, now=0.0).filled()
        await world.settle()
        assert set(view.resources(LISTENER)) == set()
        world.pipeline.serve_grpc_clients()
        await world.until(lambda: set(view.resources(LISTENER)) == {"a"})
        world.write(b="b.example.com")
        await world.until(lambda: set(view.resources(LISTENER)) == {"a", "b"})
        await world.settle()
    async with running(kept) as world:
        await world.be_away()
        view = world.services.view_of(group, now=0.0).filled()
        assert set(view.resources(LISTENER)) == {"a", "b"}
        await world.start(a="a.example.com", c="c.example.com")
        await world.until(lambda: set(view.resources(LISTENER)) == {"a", "c"})
