"""Status documents against a Nacos that tells what was asked of it: how often they are written, and how."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing
import yaml

from tests.harness.fake_nacos import FORBIDDEN, FakeNacos, FakeNacos3, Json, fake_nacos, md5
from tests.harness.grayplane import until
from tests.nacos.test_status import Replica
from xds.sources.nacos import NacosSettings

GROUP = "GRAY_STATUS"


@pytest.fixture
async def nacos() -> AsyncIterator[FakeNacos]:
    async with fake_nacos(FakeNacos3) as fake:
        yield fake


@pytest.fixture(autouse=True)
def interval(monkeypatch: pytest.MonkeyPatch) -> float:
    """A tenth of what it is."""
    monkeypatch.setattr("xds.sources.nacos.status_documents._INTERVAL", 0.1)
    return 0.1


def replica(nacos: FakeNacos, **settings: Any) -> Replica:
    return Replica(NacosSettings(server_addresses=nacos.address, **settings), {"a.yaml": {"n": 1}})


def writes(nacos: FakeNacos) -> list[Json]:
    return [body for kind, body, _ in nacos.requests if kind == "ConfigPublishRequest"]


async def until_said(nacos: FakeNacos, name: str, status: Json | None) -> None:
    async def holds() -> bool:
        text = nacos.other_documents.get(GROUP, {}).get(name)
        return (yaml.safe_load(text) if text else None) == status

    await until(holds)


async def test_a_status_is_written_at_most_once_a_second(nacos: FakeNacos, interval: float) -> None:
    async with replica(nacos) as statuses:
        await until_said(nacos, "a.yaml", {"n": 1})
        began, before = asyncio.get_running_loop().time(), len(writes(nacos))
        for number in range(100):
            statuses.becomes("a.yaml", {"n": number})
            await asyncio.sleep(0.003)
        await until_said(nacos, "a.yaml", {"n": 99})
        took = asyncio.get_running_loop().time() - began
        assert len(writes(nacos)) - before <= took / interval + 1


async def test_a_status_is_written_by_compare_and_set_and_only_when_it_changed(nacos: FakeNacos) -> None:
    async with replica(nacos) as statuses:
        await until_said(nacos, "a.yaml", {"n": 1})
        first = nacos.other_documents[GROUP]["a.yaml"]
        statuses.becomes("a.yaml", {"n": 1})
        statuses.becomes("b.yaml", {"n": 1})
        await until_said(nacos, "b.yaml", {"n": 1})
        statuses.becomes("a.yaml", {"n": 2})
        await until_said(nacos, "a.yaml", {"n": 2})
    assert [(each["group"], each["dataId"], each["casMd5"]) for each in writes(nacos)] == [
        (GROUP, "a.yaml", "0" * 32),
        (GROUP, "b.yaml", "0" * 32),
        (GROUP, "a.yaml", md5(first)),
    ]


async def test_what_another_wrote_in_between_is_written_over_at_the_next_turn(nacos: FakeNacos) -> None:
    stolen = iter(["somebody: else"])

    def steal(body: Json) -> None:
        if body["group"] == GROUP and (text := next(stolen, None)):
            nacos.other_documents[GROUP]["a.yaml"] = text

    async with replica(nacos) as statuses:
        await until_said(nacos, "a.yaml", {"n": 1})
        nacos.before["ConfigPublishRequest"] = steal
        statuses.becomes("a.yaml", {"n": 2})
        await until_said(nacos, "a.yaml", {"n": 2})
    assert next(stolen, None) is None


async def test_statuses_of_documents_that_are_gone_are_removed(nacos: FakeNacos) -> None:
    nacos.other_documents[GROUP] = {"left.yaml": "left: behind", "notes.txt": "a person's"}
    async with replica(nacos) as statuses:
        await until_said(nacos, "a.yaml", {"n": 1})
        await until_said(nacos, "left.yaml", None)
        statuses.becomes("a.yaml", None)
        await until_said(nacos, "a.yaml", None)
    assert nacos.other_documents[GROUP] == {"notes.txt": "a person's"}


async def test_the_least_permissions_suffice(nacos: FakeNacos) -> None:
    nacos.groups, nacos.password = {"GRAY_GROUP", "DEFAULT_GROUP", GROUP}, "secret"
    async with replica(nacos, username="writer", password="secret") as statuses:
        await until_said(nacos, "a.yaml", {"n": 1})
        statuses.becomes("a.yaml", None)
        await until_said(nacos, "a.yaml", None)


async def test_a_refused_write_is_told_once_and_made_up_for(nacos: FakeNacos) -> None:
    nacos.instead["ConfigPublishRequest"] = FORBIDDEN
    with structlog.testing.capture_logs() as entries:
        async with replica(nacos):

            async def refused() -> bool:
                return len(writes(nacos)) > 2

            await until(refused)
            del nacos.instead["ConfigPublishRequest"]
            await until_said(nacos, "a.yaml", {"n": 1})
    [warning] = [entry for entry in entries if entry["log_level"] == "warning"]
    assert warning["event"] == "status documents cannot be written"
    assert "does not let 'anonymous' write documents of group GRAY_STATUS" in warning["reason"]
