"""A real Nacos for the tests here, and for each test a namespace of its own in it."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.harness.nacos import NacosServer, nacos_server
from tests.harness.nacos_console import Console, console
from tests.nacos.world import World, reviews_world
from xds.sources.nacos import NacosSettings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests here time for a server to be fetched or built, should that not have been done before."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def nacos() -> Iterator[NacosServer]:
    with nacos_server() as server:
        yield server


@pytest.fixture
async def operator(nacos: NacosServer) -> AsyncIterator[Console]:
    """Someone at the console of a fresh namespace."""
    async with console(nacos, f"grayplane-{uuid.uuid4().hex[:12]}") as works:
        yield works


@pytest.fixture
def settings(nacos: NacosServer, operator: Console) -> NacosSettings:
    """The settings of a source for that namespace, which believes a returned server soon."""
    return nacos.settings(operator.namespace, settle=1.0)


@pytest.fixture
async def world(tmp_path: Path, nacos: NacosServer, operator: Console) -> AsyncIterator[World]:
    environment = nacos.environment(operator.namespace)
    async with reviews_world(tmp_path, operator, nacos.address, environment=environment) as world:
        yield world
