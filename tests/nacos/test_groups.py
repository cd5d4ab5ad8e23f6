"""Services of several naming groups, and environments beside one another."""

import dataclasses

from tests.harness.nacos_console import Console
from tests.harness.recorder import recording
from xds.sources.nacos import NacosSettings, NacosSource


async def test_services_of_several_groups(settings: NacosSettings, operator: Console) -> None:
    await operator.register("reviews", "127.0.0.1", 1001)
    await operator.register("orders", "127.0.0.1", 1002, group="ORDERS_GROUP")
    await operator.register("hidden", "127.0.0.1", 1003, group="OTHER_GROUP")
    groups = dataclasses.replace(settings, naming_groups=("ORDERS_GROUP", "DEFAULT_GROUP"))
    async with recording(NacosSource(groups)) as recorder:
        await recorder.until(lambda r: r.synced)
        assert {name: recorder.endpoints(name) for name in recorder.instances} == {
            "reviews": ["127.0.0.1:1001"],
            "orders": ["127.0.0.1:1002"],
        }
        assert recorder.trouble is None
        # The same name in a preferred group: its instances alone are used, and the clash is named.
        await operator.register("reviews", "127.0.0.1", 1004, group="ORDERS_GROUP")
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:1004"])
        assert recorder.trouble == (
            "service reviews is registered in groups ORDERS_GROUP, DEFAULT_GROUP; that of ORDERS_GROUP is "
            "used (nacos.naming_groups)"
        )
        await operator.register("reviews", "127.0.0.1", 1005, group="ORDERS_GROUP")
        await recorder.until(lambda r: len(r.endpoints("reviews")) == 2)
        assert recorder.endpoints("reviews") == ["127.0.0.1:1004", "127.0.0.1:1005"]
