"""Schedules take effect and end by themselves, on every replica alike."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"
_DYNAMIC = ("dynamic_active_clusters", "dynamic_route_configs")


def rule(begins: datetime, ends: datetime) -> dict[str, Any]:
    schedule = {key: each.isoformat(timespec="seconds") for key, each in (("from", begins), ("until", ends))}
    return {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [{"name": "campaign", "match": [{"schedule": schedule}], "route": [{"subset": "gray"}]}],
    }


class Replica:
    """A Grayplane and an Envoy of its own."""

    def __init__(self, grayplane: Grayplane, envoy: EnvoyProcess, client: Client) -> None:
        self.grayplane = grayplane
        self._envoy = envoy
        self._client = client

    async def version(self) -> str | int:
        response = await self._client.get(HOST)
        return str(response.json()["version"]) if response.status == 200 else response.status

    async def versions(self) -> Mapping[str, str]:
        """Return the versions of the clusters and the routes that Envoy has."""
        return {
            f"{kind} {_name(each)}": each["version_info"]
            for section in await self._envoy.config_dump()
            for kind in _DYNAMIC
            for each in section.get(kind, ())
        }


def _name(resource: dict[str, Any]) -> str:
    body = next(resource[key] for key in ("cluster", "route_config") if key in resource)
    return str(body["name"])


async def test_a_schedule_begins_and_ends_by_itself_on_two_replicas_alike(tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with AsyncExitStack() as stack:
        upstreams = [await stack.enter_async_context(Upstream("reviews", name)) for name in ("v1", "v2")]
        replicas = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            grayplane = Grayplane(tmp_path / name)
            grayplane.rule("reviews.yaml", rule(later, later + timedelta(hours=1)))
            grayplane.instances("reviews", *upstreams)
            await stack.enter_async_context(grayplane)
            envoy = await stack.enter_async_context(EnvoyProcess(grayplane.bootstrap("edge")))
            client = await stack.enter_async_context(Client(grayplane.edge_port))
            replicas.append(Replica(grayplane, envoy, client))

        async def all_serve(version: str) -> bool:
            answers = {await each.version() for each in replicas}
            assert answers <= {"v1", "v2"}, "a change by time costs no request either"
            return answers == {version}

        await until(partial(all_serve, "v1"))
        begins = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=6)
        ends = begins + timedelta(seconds=5)
        for each in replicas:
            each.grayplane.rule("reviews.yaml", rule(begins, ends))
        found = []
        for version, earliest in (("v1", None), ("v2", begins), ("v1", ends)):
            await until(partial(all_serve, version))
            assert earliest is None or datetime.now(UTC) >= earliest, "not before its time"
            one, two = [await each.versions() for each in replicas]
            assert one == two
            assert len(one) == 3, "a route configuration and two clusters"
            found.append(one)
        assert found[0] == found[2] != found[1], "the same content has the same version"
