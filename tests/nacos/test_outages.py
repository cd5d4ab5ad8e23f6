"""What a lost, silent, late or emptied Nacos does: nothing, and then it mends itself."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.nacos import NacosServer, port_pair
from tests.harness.nacos_console import Console
from tests.harness.recorder import Recorder, recording
from tests.harness.tcp_proxy import TcpProxy, tcp_proxy
from xds.rules.instance import Instance
from xds.sources.base import InstancesChanged
from xds.sources.nacos import NacosSettings, NacosSource, registered

ONE = Instance("127.0.0.1", 9101, metadata={"version": "v1"})
TWO = Instance("127.0.0.1", 9102, metadata={"version": "v2"})


def ignore(reason: str | None) -> None:
    """Registrations here may be interrupted."""


@pytest.fixture
def port() -> int:
    return port_pair()


@pytest.fixture
async def wire(nacos: NacosServer, port: int) -> AsyncIterator[TcpProxy]:
    """What the source's connections go through."""
    target = int(nacos.address.rpartition(":")[2])
    host = nacos.address.rpartition(":")[0]
    async with tcp_proxy(host, {port: target, port + 1000: target + 1000}) as proxy:
        yield proxy


@pytest.fixture
def through_wire(nacos: NacosServer, operator: Console, port: int, wire: TcpProxy) -> NacosSettings:
    return nacos.settings(operator.namespace, address=f"127.0.0.1:{port}", settle=1.0, request_timeout=1.0)


async def started(recorder: Recorder) -> None:
    await recorder.until(lambda r: r.synced and r.documents and r.instances)


async def test_an_outage_wipes_nothing_and_mends_itself(
    operator: Console, settings: NacosSettings, wire: TcpProxy, through_wire: NacosSettings
) -> None:
    await operator.publish("changed.yaml", "n: 1")
    await operator.publish("deleted.yaml", "n: 1")
    await operator.register("stays", ONE.address, ONE.port, ONE.metadata)
    await operator.register("gone", ONE.address, ONE.port, ONE.metadata)
    async with recording(NacosSource(through_wire)) as recorder:
        await recorder.until(lambda r: r.synced and len(r.documents) == len(r.instances) == 2)
        for _ in range(2):
            await wire.cut()
            await recorder.until(lambda r: r.trouble)
            assert recorder.trouble is not None
            assert through_wire.server_addresses in recorder.trouble
            before = len(recorder.events)
            await operator.publish("changed.yaml", f"n: {before}")
            await wire.start()
            await recorder.until(lambda r, n=before: r.documents["changed.yaml"] == b"n: %d" % n)  # type: ignore[misc]
            await recorder.until(lambda r: r.trouble is None)
        assert set(recorder.instances) == {"stays", "gone"}
        await wire.cut()
        await recorder.until(lambda r: r.trouble)
        await operator.delete("deleted.yaml")
        await operator.deregister("gone", ONE.address, ONE.port)
        await operator.register("stays", TWO.address, TWO.port, TWO.metadata)
        await wire.start()
        await recorder.until(lambda r: r.endpoints("stays") == ["127.0.0.1:9101", "127.0.0.1:9102"])
        await recorder.until(lambda r: not r.instances.get("gone") and "deleted.yaml" not in r.documents)
        assert recorder.trouble is None


async def test_a_server_that_falls_silent_is_noticed(
    operator: Console, wire: TcpProxy, through_wire: NacosSettings
) -> None:
    await operator.publish("reviews.yaml", "n: 1")
    await operator.register("reviews", ONE.address, ONE.port)
    async with recording(NacosSource(through_wire)) as recorder:
        await started(recorder)
        wire.hang()
        await recorder.until(lambda r: r.trouble)
        await operator.publish("reviews.yaml", "n: 2")
        wire.flow()
        await recorder.until(lambda r: r.documents["reviews.yaml"] == b"n: 2" and r.trouble is None)


async def test_nacos_down_at_the_start(
    operator: Console, wire: TcpProxy, through_wire: NacosSettings
) -> None:
    await operator.publish("reviews.yaml", "n: 1")
    await wire.cut()
    async with recording(NacosSource(through_wire)) as recorder:
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble is not None
        assert f"Nacos {through_wire.server_addresses} cannot be reached" in recorder.trouble
        assert "connection refused" in recorder.trouble
        assert not recorder.synced
        await wire.start()
        await recorder.until(lambda r: r.synced)
        assert recorder.documents == {"reviews.yaml": b"n: 1"}
        await recorder.until(lambda r: r.trouble is None)


async def test_a_server_that_comes_back_empty_is_not_believed(
    operator: Console, wire: TcpProxy, through_wire: NacosSettings
) -> None:
    await operator.publish("reviews.yaml", "n: 1")
    await operator.publish("ratings.yaml", "n: 1")
    async with recording(NacosSource(through_wire)) as recorder:
        await recorder.until(lambda r: r.synced and len(r.documents) == 2)
        await wire.cut()
        await recorder.until(lambda r: r.trouble)
        await operator.delete("reviews.yaml")
        await operator.delete("ratings.yaml")
        await wire.start()
        await recorder.until(lambda r: r.trouble and "without any document in group GRAY_GROUP" in r.trouble)
        assert set(recorder.documents) == {"reviews.yaml", "ratings.yaml"}
        await operator.publish("reviews.yaml", "n: 2")
        await recorder.until(lambda r: r.documents == {"reviews.yaml": b"n: 2"})


async def test_instances_that_register_again_after_an_outage_were_never_gone(
    wire: TcpProxy, through_wire: NacosSettings
) -> None:
    async with (
        recording(NacosSource(through_wire)) as recorder,
        registered(through_wire, "reviews", ONE, ignore),
        registered(through_wire, "reviews", TWO, ignore),
    ):
        await recorder.until(lambda r: r.synced and len(r.endpoints("reviews")) == 2)
        before = len(recorder.events)
        await wire.cut()
        await recorder.until(lambda r: r.trouble)
        await wire.start()
        await recorder.until(lambda r: r.trouble is None)
        async with registered(through_wire, "later", ONE, ignore):
            await recorder.until(lambda r: r.instances.get("later"))
        changes = [event for event in recorder.events[before:] if isinstance(event, InstancesChanged)]
        assert {event.service.name for event in changes} == {"later"}
        assert recorder.instances["reviews"] == (ONE, TWO)
