"""What a team sees of rules and subsets in its own tools: access logs, traces, statistics."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.harness.collector import Collector
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_port

HOST = "reviews.example.com"
RULE = {
    "hosts": [HOST],
    "subsets": {
        "stable": {"labels": {"version": "stable"}},
        "gray": {"labels": {"version": "gray"}},
        "dead": {"labels": {"version": "dead"}},
    },
    "baseline": "stable",
    "http": [
        {"name": name, "match": [{"headers": {"x": {"exact": name}}}], "route": [{"subset": subset}]}
        for name, subset in (("testers", "gray"), ("broken", "dead"))
    ],
}


@asynccontextmanager
async def edge(home: Path, **settings: str) -> AsyncIterator[tuple[EnvoyProcess, Client]]:
    """Run an edge before a service with three subsets; the instance of ``dead`` is."""
    grayplane = Grayplane(home)
    for name, value in settings.items():
        grayplane.set(f"edge.{name}", value)
    grayplane.rule("reviews.yaml", RULE)
    async with Upstream("reviews", "stable") as stable, Upstream("reviews", "gray") as gray:
        dead = {"address": "127.0.0.1", "port": free_port(), "metadata": {"version": "dead"}}
        listed = [
            {"address": "127.0.0.1", "port": upstream.port, "metadata": {"version": upstream.version}}
            for upstream in (stable, gray)
        ]
        grayplane.listed("reviews", [*listed, dead])
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
            Client(grayplane.edge_port) as client,
        ):
            yield envoy, client


async def ask(client: Client) -> None:
    for value in ("testers", "broken", "other"):
        assert (await client.get(HOST, headers=[("x", value)])).status == 200


EXPECTED = [("testers", "gray", None), ("broken", "dead", "stable"), ("baseline", "stable", None)]


async def test_an_access_log_names_rule_service_and_subset(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with edge(tmp_path, access_log=str(log)) as (_, client):
        await ask(client)

        async def written() -> bool:
            return log.exists() and log.read_text().count("\n") == 3

        await until(written)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["service"] for line in lines} == {"reviews"}
    assert [(line["route"], line["subset"], line["fallback"]) for line in lines] == EXPECTED


async def test_traces_carry_rule_service_and_subset(tmp_path: Path) -> None:
    async with (
        Collector() as collector,
        edge(tmp_path, tracing=f"localhost:{collector.port}", tracing_sampling="100") as (_, client),
    ):
        response = await client.get(HOST, headers=[("x", "testers")])
        assert "traceparent" in response.json()["headers"]

        async def received() -> bool:
            return bool(collector.traces)

        await until(received)
        [trace] = collector.traces
        found = trace.attributes()
        assert {name: found[f"grayplane.{name}"] for name in ("rule", "service", "subset")} == {
            "rule": "testers",
            "service": "reviews",
            "subset": "gray",
        }


async def test_statistics_are_by_service_and_subset(tmp_path: Path) -> None:
    async with edge(tmp_path) as (envoy, client):
        await ask(client)
        text = await envoy.admin("/stats/prometheus?filter=cluster.reviews.*upstream_rq_total")
        found = [dict(tags(line)) for line in text.splitlines() if not line.startswith("#")]
        assert {(each["grayplane_service"], each["grayplane_subset"]) for each in found} == {
            ("reviews", "stable"),
            ("reviews", "gray"),
            ("reviews", "dead"),
        }


async def test_statistics_are_by_rule_and_subset(tmp_path: Path) -> None:
    async with edge(tmp_path, rule_stats="true") as (envoy, client):
        await ask(client)
        await ask(client)
        missing = await client.get("nobody.example.com")
        assert missing.status == 404

        async def counted() -> Mapping[tuple[str, str, str], int]:
            text = await envoy.admin("/stats/prometheus?filter=grayplane.requests")
            return {
                (each["grayplane_service"], each["grayplane_rule"], each["grayplane_subset"]): int(count)
                for each, count in (
                    (tags(line), line.rpartition(" ")[2])
                    for line in text.splitlines()
                    if line.startswith("envoy_grayplane_requests{")
                )
            }

        async def all_counted() -> bool:
            return sum((await counted()).values()) == 7

        await until(all_counted)
        assert await counted() == {
            ("reviews", "testers", "gray"): 2,
            ("reviews", "broken", "dead"): 2,
            ("reviews", "baseline", "stable"): 2,
            ("", "", ""): 1,
        }
        text = await envoy.admin("/stats/prometheus?filter=grayplane.duration")
        assert "envoy_grayplane_duration_count{" in text
        assert await envoy.admin("/stats/prometheus?filter=grayplane.errors&usedonly") == ""


def tags(line: str) -> Mapping[str, Any]:
    """Return the labels of a line of Prometheus' text format."""
    return {
        name: value.strip('"')
        for name, value in (
            pair.split("=", 1) for pair in line.partition("{")[2].partition("}")[0].split(",") if pair
        )
    }
