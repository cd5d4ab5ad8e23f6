"""Two environments of one Nacos, each with an Envoy of its own: edits in one leave the other alone."""

import contextlib
import json
import uuid
from pathlib import Path

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane
from tests.harness.http import Client, Upstream
from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import console
from tests.harness.ports import free_port
from tests.nacos.world import HOST, rule, until_answered


def edge_rule(group: str, gray: int) -> str:
    return f"gateways: [{group}]\n{rule(gray)}"


async def test_each_group_of_proxies_sees_its_own_environment(tmp_path: Path, nacos: NacosServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        run = uuid.uuid4().hex[:8]
        dev, prod = [
            await stack.enter_async_context(console(nacos, f"{name}-{run}")) for name in ("dev", "prod")
        ]
        environment = nacos.environment("") | {
            "GRAYPLANE_NACOS__NAMESPACES": json.dumps([dev.namespace, prod.namespace])
        }
        ports = {"dev": free_port(), "prod": free_port()}
        flags = ["--nacos", nacos.address]
        for operator, group in ((dev, "dev"), (prod, "prod")):
            flags += ["--set", f"groups.{group}.namespace={operator.namespace}"]
            flags += ["--set", f"groups.{group}.edge.port={ports[group]}"]
            for version in ("v1", "v2"):
                upstream = await stack.enter_async_context(Upstream("reviews", f"{version}-of-{group}"))
                await operator.register("reviews", "127.0.0.1", upstream.port, {"version": version})
        await dev.publish("reviews.yaml", edge_rule("dev", 0))
        await prod.publish("reviews.yaml", edge_rule("prod", 100))
        grayplane = await stack.enter_async_context(Grayplane(tmp_path, *flags, environment=environment))
        clients = {}
        for group, port in ports.items():
            bootstrap = grayplane.bootstrap("edge")
            bootstrap["node"]["cluster"] = group
            await stack.enter_async_context(EnvoyProcess(bootstrap))
            clients[group] = await stack.enter_async_context(Client(port))

        async def answers(in_dev: str | int, in_prod: str) -> None:
            await until_answered(clients["dev"], in_dev)
            # Not waited for: nothing may have moved there.
            said = [(await clients["prod"].get(HOST)).json()["version"] for _ in range(20)]
            assert set(said) == {in_prod}

        await until_answered(clients["prod"], "v2-of-prod")
        await answers("v1-of-dev", "v2-of-prod")
        await dev.publish("reviews.yaml", edge_rule("dev", 100))
        await answers("v2-of-dev", "v2-of-prod")
        # A rollback in the console publishes the earlier text again.
        await dev.publish("reviews.yaml", edge_rule("dev", 0))
        await answers("v1-of-dev", "v2-of-prod")
        await dev.delete("reviews.yaml")
        await answers(404, "v2-of-prod")
        await prod.publish("reviews.yaml", edge_rule("prod", 0))
        await until_answered(clients["prod"], "v1-of-prod")
        await until_answered(clients["dev"], 404)
