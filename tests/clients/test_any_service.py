"""A gRPC client that calls a service whose document says nothing of gRPC clients, or that has none."""

import json
from typing import Any

from tests.clients.conftest import SERVICE, Mesh

_RULES: dict[str, Any] = {
    "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
    "baseline": "stable",
    "http": [{"name": "all", "route": [{"subset": "gray"}]}],
}


async def test_it_keeps_what_it_had_when_the_rules_come_to_say_what_it_cannot_do(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    mesh.grayplane.rule(f"{SERVICE}.yaml", json.dumps(_RULES))
    await mesh.connect()
    await mesh.until(lambda version: version == "v2")
    by_cookie = {
        "name": "by-cookie",
        "match": [{"cookies": {"a": {"exact": "b"}}}],
        "route": [{"subset": "gray"}],
    }
    seen = len(mesh.grayplane.log())
    mesh.grayplane.rule(f"{SERVICE}.yaml", json.dumps({**_RULES, "http": [by_cookie]}))
    await mesh.grayplane.until_logged(lambda entry: entry["event"] == "rule document applied", seen)
    assert [await mesh.version() for _ in range(20)] == ["v2"] * 20
    mesh.grayplane.rule(f"{SERVICE}.yaml", json.dumps({**_RULES, "http": []}))
    await mesh.until(lambda version: version == "v1")


async def test_a_service_without_a_document_is_called_by_its_name(mesh: Mesh) -> None:
    await mesh.serve(v1=1, v2=1)
    await mesh.connect(ruled=False)
    seen = {await mesh.version() for _ in range(20)}
    assert seen == {"v1", "v2"}
