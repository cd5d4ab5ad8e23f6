"""Services whose names are no host names are called by other names."""

import json
from pathlib import Path

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

DUBBO = "providers:com.foo.Bar:1.0:group"


@pytest.mark.parametrize("routes", ["shared", "scoped", "lazy"])
async def test_aliases_in_every_route_mode(tmp_path: Path, routes: str) -> None:
    patterns = [{"pattern": "providers:([^:]+):.*", "name": r"\1"}]
    grayplane = Grayplane(tmp_path, environment={"GRAYPLANE_MESH_NAMES": json.dumps(patterns)})
    grayplane.set("sidecar.routes", routes)
    grayplane.rule("reviews.yaml", {"aliases": ["reviews.internal", "books"]})
    async with Upstream("reviews", "v1") as reviews, Upstream(DUBBO, "v1") as dubbo:
        grayplane.instances("reviews", reviews)
        grayplane.instances(DUBBO, dubbo)
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("sidecar")),
            Client(grayplane.outbound_port) as client,
        ):
            for host, service in (
                ("books", "reviews"),
                ("reviews", "reviews"),
                ("reviews.internal", "reviews"),
                ("com.foo.Bar", DUBBO),
            ):
                answer = await client.get(host)
                assert answer.status == 200, host
                assert answer.json()["service"] == service
            assert (await client.get("other")).status == 404

            grayplane.rule("reviews.yaml", {"aliases": ["magazines"]})

            async def renamed() -> bool:
                return (await client.get("magazines")).status == 200

            await until(renamed)
            assert (await client.get("reviews")).status == 200
            assert (await client.get("books")).status == 404


async def test_a_rules_alias_takes_the_name_of_a_service_without_rule(tmp_path: Path) -> None:
    grayplane = Grayplane(tmp_path)
    async with Upstream("reviews", "v1") as reviews, Upstream("books", "v1") as books:
        grayplane.instances("reviews", reviews)
        grayplane.instances("books", books)
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("sidecar")),
            Client(grayplane.outbound_port) as client,
        ):

            async def answers(service: str) -> bool:
                said: str = (await client.get("books")).json()["service"]
                return said == service

            assert await answers("books")
            grayplane.rule("reviews.yaml", {"aliases": ["books"]})
            await until(lambda: answers("reviews"))
            grayplane.rule("reviews.yaml", {})
            await until(lambda: answers("books"))
