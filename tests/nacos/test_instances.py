"""Service instances from a real Nacos."""

from contextlib import AsyncExitStack

from tests.harness.nacos_console import Console
from tests.harness.recorder import recording
from xds.rules.instance import Instance, Locality
from xds.sources.nacos import NacosSettings, NacosSource, registered


def told(reason: str | None) -> None:
    assert reason is None, reason


async def test_instances_register_and_leave(settings: NacosSettings) -> None:
    first = Instance("127.0.0.1", 9101, metadata={"version": "v1"})
    second = Instance(
        "127.0.0.1", 9102, weight=3.0, metadata={"version": "v2", "zone": "eu"}, locality=Locality(zone="eu")
    )
    async with recording(NacosSource(settings)) as recorder, AsyncExitStack() as running:
        await recorder.until(lambda r: r.synced)
        await running.enter_async_context(registered(settings, "reviews", first, told))
        await recorder.until(lambda r: r.instances == {"reviews": (first,)})
        async with registered(settings, "reviews", second, told):
            await recorder.until(lambda r: r.instances == {"reviews": (first, second)})
        await recorder.until(lambda r: r.instances == {"reviews": (first,)})
        await running.aclose()
        await recorder.until(lambda r: not r.instances.get("reviews"))


async def test_what_exists_is_reported_before_synced(settings: NacosSettings) -> None:
    instance = Instance("127.0.0.1", 9101)
    async with (
        recording(NacosSource(settings)) as early,
        registered(settings, "a", instance, told),
        registered(settings, "b", instance, told),
    ):
        await early.until(lambda r: r.instances == {"a": (instance,), "b": (instance,)})
        async with recording(NacosSource(settings)) as late:
            await late.until(lambda r: r.synced)
            assert late.instances == {"a": (instance,), "b": (instance,)}


async def test_an_operator_changes_instances(operator: Console, settings: NacosSettings) -> None:
    async with recording(NacosSource(settings)) as recorder:
        await operator.register("reviews", "127.0.0.1", 9101, {"version": "v1"})
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:9101"])
        await operator.register("reviews", "127.0.0.1", 9101, {"version": "v2"})
        await recorder.until(lambda r: [i.metadata["version"] for i in r.instances["reviews"]] == ["v2"])
        await operator.register("reviews", "127.0.0.1", 9101, {"version": "v2"}, weight=0)
        await recorder.until(lambda r: r.endpoints("reviews") == [])
        await operator.register("reviews", "127.0.0.1", 9101, {"version": "v2"}, weight=2)
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:9101"])
        await operator.register("reviews", "127.0.0.1", 9101, {"version": "v2"}, enabled=False)
        await recorder.until(lambda r: r.endpoints("reviews") == [])
        await operator.deregister("reviews", "127.0.0.1", 9101)
        await recorder.until(lambda r: not r.instances.get("reviews"))


async def test_an_instance_that_nothing_can_be_sent_to_is_told_and_left_out(
    operator: Console, settings: NacosSettings
) -> None:
    await operator.register("reviews", "127.0.0.1", 9101)
    await operator.register("reviews", "10.0.0.256", 9102)
    async with recording(NacosSource(settings)) as recorder:
        await recorder.until(lambda r: r.synced)
        assert recorder.endpoints("reviews") == ["127.0.0.1:9101"]
        assert recorder.trouble is not None
        assert "service reviews: not routed to: '10.0.0.256' is neither an IP address" in recorder.trouble
        await operator.deregister("reviews", "10.0.0.256", 9102)
        await recorder.until(lambda r: r.trouble is None)
