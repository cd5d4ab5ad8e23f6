"""What documents and settings compile to, word by word, beside the files in ``expected``.

A change of what proxies are sent shows in these files, for whoever reads the change. That Envoy does with it
what the documents say is proved elsewhere (``tests/envoy``). After a change that is meant:
``python -m tests.unit.compiler.test_expected``.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format

from tests.harness.routing import NOW
from tests.unit.compiler.test_built_messages import DOCUMENT
from tests.unit.rules.examples import recipes, whole, yaml_blocks
from xds.cache import Resource
from xds.compiler.certificates import Certificate, secret
from xds.compiler.clusters import inbound_cluster, tracing_cluster
from xds.compiler.connection_managers import EscapedSlashes, HttpSettings
from xds.compiler.listeners import (
    EdgeListener,
    Https,
    SidecarListeners,
    edge_listener,
    https_listener,
    inbound_listener,
    outbound_listener,
)
from xds.compiler.route_configuration import on_demand_route_configuration, route_configuration
from xds.compiler.route_sources import RouteMode, route_source
from xds.compiler.scopes import scope
from xds.compiler.service import with_domains
from xds.compiler.tracing import Tracing
from xds.documents import DocumentId
from xds.routing import Surroundings, routing_of
from xds.routing.lanes import entrances_of
from xds.rules import ServiceId
from xds.rules.instance import Instance, Locality
from xds.rules.parse import parse
from xds.rules.store import DocumentStore
from xds.type_urls import CLUSTER, LISTENER, ROUTE, SCOPED_ROUTE, SECRET
from xds.views import CompiledService, ServiceInputs
from xds.wire.descriptors import message_class, new_pool

EXPECTED = Path(__file__).parent / "expected"
CORPUS = Path(__file__).parents[1] / "rules" / "corpus"
POOL = new_pool()
MORE = """
hosts: [a.example.com]
clients: [CLIENTS]
trafficPolicy:
  protocol: http2
  tls: {mode: SIMPLE, caCertificates: /tls/ca.crt}  # not grpc
  loadBalancer: {simple: LEAST_REQUEST}
  outlierDetection: {consecutive5xxErrors: 3}
subsets:
  v1: {labels: {v: a}, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}
  v2: {labels: {v: b}, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}
  v3: {labels: {version: v2}, trafficPolicy: {loadBalancer: {consistentHash: {httpQueryParameterName: q}}}}
baseline: v1
http:
  - name: not-these
    match:
      - headers: {x-a: {in: [a, b], not: true}, x-b: {exact: A, ignoreCase: true}, x-c: {present: true}}
        uri: {exact: /a, ignoreCase: true}
      - headers: {x-a: {suffix: a}, x-b: {contains: b}, x-c: {regex: "a+"}, x-d: {prefix: d, not: true}}
        uri: {prefix: /b/}
    route: [{subset: v2}]
    sticky: {header: x-user}
    timeout: 5s
    retries: {attempts: 2, retryOn: [cancelled, unavailable]}
    fault: {abort: {httpStatus: 503, percentage: 10}, delay: {fixedDelay: 1s}}
  - {name: some, match: [{percentage: {value: 12.5}}], route: [{subset: v2}]}
  - name: split
    route: [{subset: v1, weight: 70}, {subset: v2, weight: 29}, {subset: v3, weight: 1}]
    rewrite: {uri: /new}  # not grpc
    retries: {attempts: 1}
"""
"""What the other documents do not say; gRPC clients do not know all of it."""
INSTANCES = [
    Instance("192.0.2.1", 80, metadata={"version": "v1", "v": "a"}, locality=Locality("r", "z")),
    Instance("192.0.2.2", 80, weight=2.5, metadata={"version": "v2", "v": "b"}),
    Instance("192.0.2.3", 80, healthy=False, metadata={"version": "v1", "v": "a"}),
    Instance("2001:db8::1", 80, metadata={"version": "v2", "protocol": "grpc"}),
]


def documents() -> Iterator[tuple[str, dict[str, str]]]:
    """The recipes of the cookbook, the examples of the reference and whole documents, with their names."""
    for title, texts in recipes():
        yield f"cookbook {title}", texts
    for number, block in enumerate(yaml_blocks("rules.md")):
        name, text = whole(block)
        yield f"rules {number}", {name: text}
    everything = {name: (CORPUS / name).read_text(encoding="utf-8") for name in ("vip.list", "lanes.yaml")}
    everything["reviews.yaml"] = (CORPUS / "everything.yaml").read_text(encoding="utf-8")
    yield "everything", everything
    yield "more for proxies", {"more.yaml": MORE.replace("CLIENTS", "envoy")}
    for_grpc = re.sub(".*# not grpc\n", "", MORE).replace("CLIENTS", "envoy, grpc")
    yield "more for gRPC clients", {"more.yaml": for_grpc}
    many = ", ".join(f"user-{number}" for number in range(100))  # so many that a matcher is made of them
    yield "matcher", {"a.yaml": DOCUMENT.decode().replace("MANY", many).replace("30d", "720h")}


def compiled(texts: dict[str, str]) -> list[Resource]:
    """Compile each service of some documents for edges, sidecars and gRPC clients."""
    store = DocumentStore()
    parsed = {DocumentId("", name): parse(name, text.encode()) for name, text in texts.items()}
    assert all(each.content for each in parsed.values()), [each.problems for each in parsed.values()]
    store.load(parsed)
    resources: list[Resource] = []
    lanes = store.lanes("").lanes
    for name in sorted({name.rpartition(".")[0] for name in texts} - {"lanes"}):
        service = ServiceId("", name)
        if not (rule := store.rule(service)):
            continue
        routing = routing_of(name, rule, NOW, Surroundings(store.lists_of(service), lanes))
        resources += _of_service(CompiledService.of(ServiceInputs(service, routing, (), INSTANCES)))
    if lanes:
        entrances = entrances_of(Surroundings({}, lanes), NOW)
        at, routes = EdgeListener("127.0.0.1", 80), route_source(RouteMode.SHARED, "edge")
        resources.append(Resource.of(LISTENER, "edge", edge_listener("edge", at, routes, entrances)))
    return resources


def without_document() -> list[Resource]:
    """A service that is registered and has no document."""
    routing = routing_of("reviews", None, NOW)
    return [*_of_service(CompiledService.of(ServiceInputs(ServiceId("", "reviews"), routing, (), INSTANCES)))]


def _of_service(service: CompiledService) -> Iterator[Resource]:
    name = service.id.name
    bodies = {"edge": service.edge, "mesh": with_domains(service.mesh, service.mesh_names)}
    for side, body in bodies.items():
        if body:
            yield Resource.of(ROUTE, f"{side}/{name}", route_configuration(f"{side}/{name}", [body]))
    yield from service.clusters
    yield from service.endpoints
    yield from service.grpc_clients or ()


def settings() -> list[Resource]:
    """All that depends on settings alone."""
    http = HttpSettings(
        escaped_slashes=EscapedSlashes.DECODE,
        http10=True,
        access_log="/dev/stdout",
        latency_cluster="grayplane",
        rule_stats=True,
        tracing=Tracing("collector.example.com", 4317, 12.5, "edge"),
    )
    https = Https(8443, redirect_port=443, hsts=timedelta(days=365))
    bodies: dict[tuple[str, str], bytes] = {}
    for mode in RouteMode:
        routes = route_source(mode, "edge")
        edge = EdgeListener("0.0.0.0", 80, mode, 2, https, http, "x-user-id")
        sidecar = SidecarListeners("127.0.0.1", 15001, 15006, mode)
        plain = EdgeListener("0.0.0.0", 80, mode)
        bodies |= {
            (LISTENER, f"edge {mode}"): edge_listener("edge", plain, routes),
            (LISTENER, f"edge that redirects {mode}"): edge_listener("edge", edge, routes),
            (LISTENER, f"https {mode}"): https_listener("edge", edge, routes, ["a", "b"]),
            (LISTENER, f"outbound {mode}"): outbound_listener("outbound", sidecar, routes),
        }
    bodies |= {
        (LISTENER, "inbound"): inbound_listener("inbound", SidecarListeners("::", 15001, 15006, http=http)),
        (CLUSTER, "inbound"): inbound_cluster(8080),
        (CLUSTER, "tracing"): tracing_cluster("collector.example.com", 4317),
        (ROUTE, "on demand"): on_demand_route_configuration("on-demand"),
        (SECRET, "certificate"): secret(Certificate("c", ("a.example.com",), b"chain", b"key")),
        (SCOPED_ROUTE, "scope"): scope("a scope", "its routes", "a.example.com"),
    }
    return [Resource.of(type_url, name, body) for (type_url, name), body in bodies.items()]


OTHERS = {"settings": settings, "without document": without_document}


def shown(resources: Iterable[Resource]) -> str:
    """Write resources as YAML, in protobuf's JSON mapping."""
    told = {}
    for each in resources:
        short = each.type_url.rpartition(".")[2]
        message = message_class(each.type_url.rpartition("/")[2], POOL).FromString(each.body)
        text = json_format.MessageToJson(message, preserving_proto_field_name=True, descriptor_pool=POOL)
        name = f"{short} {each.name}"
        # Clusters of proxies come first, those of gRPC clients have the same names.
        told[f"{name} of gRPC clients" if name in told else name] = json.loads(text)
    return yaml.safe_dump(told, width=110, allow_unicode=True)


def titles() -> list[str]:
    """All that has a file: a document of lists alone, say, compiles to nothing."""
    return [*(title for title, _ in documents()), *OTHERS]


def text_of(title: str) -> str:
    """What a file should say; empty: there should be none."""
    resources = OTHERS[title]() if title in OTHERS else compiled(dict(documents())[title])
    return shown(resources) if resources else ""


def _file(title: str) -> Path:
    return EXPECTED / f"{'-'.join(re.findall('[a-z0-9]+', title.lower()))}.yaml"


@pytest.mark.parametrize("title", titles())
def test_what_proxies_are_sent_is_what_was_reviewed(title: str) -> None:
    file = _file(title)
    assert text_of(title) == (file.read_text(encoding="utf-8") if file.exists() else "")


def test_no_file_is_left_over() -> None:
    assert {*EXPECTED.iterdir()} <= {*map(_file, titles())}


if __name__ == "__main__":
    for file in EXPECTED.iterdir():
        file.unlink()
    for title in titles():
        if text := text_of(title):
            _file(title).write_text(text, encoding="utf-8")
