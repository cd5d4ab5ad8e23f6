"""Services of several naming groups, and environments beside one another."""

import dataclasses
import json
from pathlib import Path

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane
from tests.harness.http import Client, Upstream
from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import Console
from tests.harness.recorder import recording
from tests.nacos.test_status import until_status
from tests.nacos.world import HOST, World, until_answered
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
            "used unless its rule names another `group` (nacos.naming_groups)"
        )
        await operator.register("reviews", "127.0.0.1", 1005, group="ORDERS_GROUP")
        await recorder.until(lambda r: len(r.endpoints("reviews")) == 2)
        assert recorder.endpoints("reviews") == ["127.0.0.1:1004", "127.0.0.1:1005"]


async def test_a_rule_names_its_group(tmp_path: Path, nacos: NacosServer, operator: Console) -> None:
    environment = nacos.environment(operator.namespace) | {
        "GRAYPLANE_NACOS__NAMING_GROUPS": json.dumps(["DEFAULT_GROUP", "ORDERS_GROUP"])
    }

    def rule(group: str) -> str:
        return f"hosts: [{HOST}]\n{group}"

    async with (
        Upstream("reviews", "default") as default,
        Upstream("reviews", "orders") as orders,
        Grayplane(tmp_path, "--nacos", nacos.address, environment=environment) as grayplane,
        EnvoyProcess(grayplane.bootstrap("edge")),
        Client(grayplane.edge_port) as client,
    ):
        await operator.register("reviews", "127.0.0.1", default.port)
        await operator.register("reviews", "127.0.0.1", orders.port, group="ORDERS_GROUP")
        await operator.publish("reviews.yaml", rule(""))
        await until_answered(client, "default")
        world = World(operator, grayplane, client, default, orders)
        async with world.asking() as answers:
            await operator.publish("reviews.yaml", rule("group: ORDERS_GROUP"))
            live = await until_status(operator, "reviews.yaml", state="Programmed", problems=None)
            await until_answered(client, "orders")
            await operator.publish("reviews.yaml", rule("group: OTHER_GROUP"))
            refused = await until_status(operator, "reviews.yaml", state="Rejected", inForce=live["revision"])
            await until_answered(client, "orders")
            await operator.publish("reviews.yaml", rule("group: DEFAULT_GROUP"))
            await until_answered(client, "default")
        assert answers == {"default", "orders"}
        [problem] = refused["problems"]
        assert (problem["field"], problem["line"]) == ("group", 2)
        assert "DEFAULT_GROUP, ORDERS_GROUP" in problem["hint"]
