"""What certificates may claim, in tables; and that nothing is served past them, over real gRPC with mTLS."""

import asyncio
import ssl
from pathlib import Path

import grpc
import httpx
import pytest
from envoy_data_plane.envoy.config.core.v3 import Node as NodeMessage
from envoy_data_plane.google.protobuf import Struct

from tests.harness import PATIENCE
from tests.harness.certificates import Authority
from tests.unit.server.clients import DeltaStream, RawStream, running
from xds.cache import Resource, View
from xds.http import HttpServer
from xds.server import (
    Authorization,
    Grant,
    LoadReporting,
    LogObserver,
    Peer,
    RevocationList,
    TlsFiles,
)
from xds.server.client_status import FETCH
from xds.server.errors import StreamError
from xds.server.rest import discovery_app
from xds.server.tls import http_context
from xds.type_urls import CLUSTER
from xds.wire import Node

EDGE = Grant("uri:spiffe://prod/edge/*", roles=frozenset({"edge"}), groups=frozenset({"edge", "edge-*"}))
SIDECAR = Grant(
    "uri:spiffe://prod/ns/{namespace}/sa/{service}",
    roles=frozenset({"sidecar", "grpc-client"}),
    services=frozenset({"{service}"}),
    namespaces=frozenset({"{namespace}"}),
    upstreams=frozenset({"reviews", "rating*"}),
)
OPERATOR = Grant("dns:*.ops.internal", roles=frozenset(), status=True)
GRANTS = (EDGE, SIDECAR, OPERATOR)

EDGE_7 = "uri:spiffe://prod/edge/edge-7"
ORDERS = "uri:spiffe://prod/ns/shop/sa/orders"
CALLS = {"role": "sidecar", "service": "orders", "namespace": "shop", "upstreams": ["reviews", "ratings"]}


@pytest.mark.parametrize(
    ("identity", "cluster", "metadata", "refused"),
    [
        (EDGE_7, "edge", {"role": "edge"}, None),
        (EDGE_7, "edge-cn", {"role": "edge"}, None),
        (EDGE_7, "internal", {"role": "edge"}, "group (node.cluster) 'internal' is not granted"),
        (EDGE_7, "edge", {}, "it must say its role"),
        (EDGE_7, "edge", {"role": ["edge"]}, "it must say its role"),
        (EDGE_7, "edge", CALLS, "role 'sidecar' is not granted"),
        ("uri:spiffe://prod/edge/a/b", "edge", {"role": "edge"}, "no grant is for it"),
        ("uri:spiffe://prod/edge/", "edge", {"role": "edge"}, "no grant is for it"),
        ("uri:spiffe://prod.evil/edge/edge-7", "edge", {"role": "edge"}, "no grant is for it"),
        ("dns:spiffe://prod/edge/edge-7", "edge", {"role": "edge"}, "no grant is for it"),
        (ORDERS, "sidecar", CALLS, None),
        (ORDERS, "sidecar", {**CALLS, "role": "grpc-client"}, None),
        (ORDERS, "sidecar", {**CALLS, "service": "payments"}, "service 'payments' is not granted"),
        (ORDERS, "sidecar", {**CALLS, "service": None}, "service '' is not granted"),
        (ORDERS, "sidecar", {**CALLS, "namespace": "bank"}, "namespace 'bank' is not granted"),
        (ORDERS, "sidecar", {**CALLS, "namespace": ""}, "namespace '' is not granted"),
        (ORDERS, "sidecar", {**CALLS, "upstreams": None}, "it must say which upstreams it wants"),
        (ORDERS, "sidecar", {**CALLS, "upstreams": ["reviews", "vault"]}, "upstream 'vault' is not granted"),
        ("uri:spiffe://prod/ns/shop/sa/*", "sidecar", CALLS, "service 'orders' is not granted"),
        ("dns:a.ops.internal", "edge", {"role": "edge"}, "role 'edge' is not granted"),
        (None, "edge", {"role": "edge"}, "a client without a certificate: no grant is for it"),
    ],
)
def test_a_node_may_be_what_its_certificate_says(
    identity: str | None, cluster: str, metadata: dict[str, object], refused: str | None
) -> None:
    denied: list[None] = []
    authorization = Authorization(GRANTS, lambda: denied.append(None))
    peer = Peer("ipv4:127.0.0.1:1", (identity,) if identity else ())
    node = Node(id="n", cluster=cluster, metadata=metadata)
    if refused is None:
        authorization.check(node, peer)
        return
    with pytest.raises(StreamError) as raised:
        authorization.check(node, peer)
    assert raised.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused in raised.value.details
    assert len(denied) == 1


def test_any_name_and_any_grant_of_a_certificate_counts() -> None:
    peer = Peer("", ("dns:x.internal", ORDERS, EDGE_7))
    authorization = Authorization([*GRANTS, Grant(EDGE_7, groups=frozenset({"spare"}))])
    authorization.check(Node(cluster="edge", metadata={"role": "edge"}), peer)
    authorization.check(Node(cluster="spare", metadata={"role": "edge"}), peer)


def test_an_unknown_word_in_a_grant_grants_nothing() -> None:
    grant = Grant("dns:{service}.internal", services=frozenset({"{sevrice}", "{{service}}"}))
    node = Node(metadata={"role": "sidecar", "service": "orders"})
    with pytest.raises(StreamError, match="service 'orders' is not granted"):
        Authorization([grant]).check(node, Peer("", ("dns:orders.internal",)))


A = Resource.of(CLUSTER, "a", b"\x0a\x01a")


async def test_over_the_wire_a_node_that_claims_more_is_refused_and_sees_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, orders = authority.server(), authority.issue("orders", uris=[ORDERS.removeprefix("uri:")])
    operator = authority.issue("operator", dns=["a.ops.internal"])
    reads = (orders.key.read_bytes(), orders.certificate.read_bytes())
    secret = grpc.ssl_channel_credentials(authority.file.read_bytes(), *reads)
    denied: list[None] = []
    authorization = Authorization(GRANTS, lambda: denied.append(None))
    reporting = LoadReporting(lambda *_: None)
    tls = TlsFiles(server.certificate, server.key, authority.file)
    async with running(A, tls=tls, authorization=authorization, load_reporting=reporting) as it:
        async with DeltaStream(it.port, credentials=secret) as stream:
            await stream.ask(CLUSTER, node=NodeMessage(id="o", metadata=Struct.from_dict(CALLS)))
            assert [each.name for each in (await stream.next()).resources] == ["a"]
        async with DeltaStream(it.port, credentials=secret) as stream:
            claims = Struct.from_dict({**CALLS, "service": "payments"})
            await stream.ask(CLUSTER, node=NodeMessage(id="o", metadata=claims))
            code, details = await stream.status()
            assert (code, "payments" in details) == (grpc.StatusCode.PERMISSION_DENIED, True)
        status_path = f"/{FETCH.service}/StreamClientStatus"
        async with RawStream(it.port, status_path, credentials=secret) as status:
            assert (await status.status())[0] is grpc.StatusCode.PERMISSION_DENIED
        loads = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"
        async with RawStream(it.port, loads, credentials=secret) as report:
            await report.send(b"\x0a\x00")
            assert (await report.status())[0] is grpc.StatusCode.PERMISSION_DENIED
        assert len(it.journal.streams) == 1
        assert len(denied) == 3
        reads = (operator.key.read_bytes(), operator.certificate.read_bytes())
        secret = grpc.ssl_channel_credentials(authority.file.read_bytes(), *reads)
        async with RawStream(it.port, status_path, credentials=secret) as status:
            await status.send(b"")
            assert await status.receive() is not None


async def test_rest_discovery_is_closed_where_certificates_decide() -> None:
    async def view_of(*_: object) -> View:
        return View()

    app = discovery_app(view_of, LogObserver(), serving=lambda: True, authorization=Authorization(GRANTS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        response = await client.post("/v3/discovery:clusters", json={"node": {"metadata": {"role": "edge"}}})
    assert (response.status_code, "no grant" in response.json()["error"]) == (403, True)


@pytest.mark.parametrize(
    ("shown", "status", "words"),
    [
        ("orders", 200, ""),
        ("payments", 403, "service 'orders' is not granted"),
        ("taken back", 403, "revoked"),
        (None, 403, "a client without a certificate"),
        ("a stranger's", None, ""),
        ("expired", None, ""),
    ],
)
async def test_rest_discovery_is_by_certificate_where_the_port_asks_for_one(
    tmp_path: Path, shown: str | None, status: int | None, words: str
) -> None:
    authority, server = Authority(tmp_path / "ca"), Authority(tmp_path / "ours").server()
    uri = ORDERS.removeprefix("uri:")
    pairs = {
        "orders": authority.issue("orders", uris=[uri]),
        "payments": authority.issue("payments", uris=[uri.replace("orders", "payments")]),
        "taken back": authority.issue("stolen", uris=[uri]),
        "a stranger's": Authority(tmp_path / "other").issue("orders", uris=[uri]),
        "expired": authority.issue("old", uris=[uri], expired=True),
    }
    crl = tmp_path / "revoked.pem"
    crl.write_bytes(authority.revoke(pairs["taken back"]))
    revoked = RevocationList(crl, authority.file)
    view = View()
    view.apply([A])

    async def view_of(*_: object) -> View:
        return view

    app = discovery_app(
        view_of,
        LogObserver(),
        serving=lambda: True,
        authorization=Authorization(GRANTS, revoked=revoked),
    )
    http = HttpServer(app, tls=http_context(TlsFiles(server.certificate, server.key, authority.file)))
    url = f"https://127.0.0.1:{http.bind('127.0.0.1', 0)}/v3/discovery:clusters"
    serving = asyncio.create_task(http.run())
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ours" / "ca.crt"))
    if shown:
        trusted.load_cert_chain(pairs[shown].certificate, pairs[shown].key)
    body = {"node": {"id": "o", "metadata": CALLS}}
    try:
        async with httpx.AsyncClient(verify=trusted, trust_env=False, timeout=PATIENCE) as client:
            answer = await client.post(url, json=body)
    except httpx.TransportError:
        assert status is None, "a certificate that is none ends the handshake"
    else:
        assert answer.status_code == status
        said = answer.json()
        assert words in said.get("error", "")
        assert [each["name"] for each in said.get("resources", [])] == (["a"] if status == 200 else [])
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        http.close()


@pytest.mark.parametrize(("namespace", "is_allowed"), [("shop", True), ("", False), ("other", False)])
def test_a_group_has_the_namespace_that_the_operator_gave_it(namespace: str, is_allowed: bool) -> None:
    authorization = Authorization(GRANTS, namespace_of=lambda _: namespace)
    node = Node("orders-1", "mesh", metadata={name: CALLS[name] for name in CALLS if name != "namespace"})
    peer = Peer("ipv4:127.0.0.1:1", (ORDERS,))
    if is_allowed:
        authorization.check(node, peer)
    else:
        with pytest.raises(StreamError, match=f"namespace '{namespace}' is not granted"):
            authorization.check(node, peer)
