"""What the compiler builds unchecked would pass the checks (``xds.wire.build``)."""

from collections.abc import Iterator
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core.v3 import AggregatedConfigSource, ApiVersion, ConfigSource

from tests.harness.routing import routing
from xds.compiler import (
    access_log,
    actions,
    clusters,
    connection_managers,
    listeners,
    plain_routes,
    route_configuration,
    route_sources,
    scopes,
    service,
)
from xds.compiler.config_source import ADS
from xds.compiler.connection_managers import HttpSettings
from xds.compiler.route_sources import RouteMode, route_source
from xds.compiler.service import compile_routes
from xds.rules.parse import parse

DOCUMENT = b"""
hosts: [a.example.com, "*.b.example.com"]
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http:
  - name: everything
    match:
      - uri: {prefix: /a, ignoreCase: true}
        method: {in: [GET, HEAD]}
        headers: {x: {exact: a}, y: {range: {start: 1, end: 5}}, z: {present: false}, w: {regex: "a+"}}
        cookies: {a: {prefix: a}, b: {present: true}, c: {suffix: z, not: true}}
        query: {q: {contains: x}, r: {present: true}}
      - uri: {regex: "/x/.*"}
      - uri: {exact: /b, not: true}
      - headers: {x: {exact: a, not: true, ignoreCase: true}}
    sticky: {header: x-user-id}
    route: [{subset: stable, weight: 1}, {subset: gray, weight: 2}]
    timeout: 3s
  - name: by-cookie
    match: [{uri: {prefix: /c}}]
    sticky: {cookie: user, ttl: 30d}
    route: [{subset: stable, weight: 1}, {subset: gray, weight: 2}]
  - name: ids
    match: [{headers: {x-user-id: {in: [MANY]}}}]
    route: [{subset: gray}]
"""


@pytest.mark.parametrize("ids", [3, 100], ids=["plain", "matcher"])
def test_checked_and_unchecked_messages_are_the_same(ids: int, monkeypatch: pytest.MonkeyPatch) -> None:
    many = ", ".join(f"user-{number}" for number in range(ids)).encode()
    parsed = parse("a.yaml", DOCUMENT.replace(b"MANY", many).replace(b"30d", b"720h"))
    assert parsed.rule, parsed.problems
    unchecked = compile_routes(routing("a", parsed.rule))

    for module in (actions, plain_routes, service):
        monkeypatch.setattr(module, "build", checked)
    assert compile_routes(routing("a", parsed.rule)) == unchecked


def test_so_are_those_that_no_rule_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    unchecked = list(without_rules())
    for module in (
        access_log,
        clusters,
        connection_managers,
        listeners,
        route_configuration,
        route_sources,
        scopes,
    ):
        monkeypatch.setattr(module, "build", checked)
    assert ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3) == ADS
    clusters._subset_settings.cache_clear()
    assert list(without_rules()) == unchecked


def checked(kind: Any, **fields: Any) -> Any:
    return kind(**fields)


def without_rules() -> Iterator[bytes]:
    http = HttpSettings(access_log="/dev/stdout", http10=True, http10_host="a.example.com")
    sidecar = listeners.SidecarListeners("::1", 2, 3)
    for kind in RouteMode:
        routes = route_source(kind, "edge")
        yield listeners.edge_listener("edge", listeners.EdgeListener("127.0.0.1", 1, http=http), routes)
        yield listeners.outbound_listener("outbound", sidecar, routes)
    yield listeners.inbound_listener("inbound", sidecar)
    yield clusters.inbound_cluster(80)
    yield clusters.subset_cluster("a|stable")
    yield route_configuration.route_configuration("edge", [])
    yield route_configuration.on_demand_route_configuration("edge")
    yield route_configuration.nobody("edge/nobody.invalid")
    yield scopes.scope("edge/a.example.com", "a.example.com", "edge/a")
