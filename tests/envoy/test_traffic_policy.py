"""How proxies talk to instances: TLS, load balancing and limits, as trafficPolicy says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.certificates import Authority, Pair
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane
from tests.harness.http import Client, Upstream

HOST = "reviews.example.com"


@asynccontextmanager
async def edge(
    home: Path, policy: Mapping[str, Any], *ports: int
) -> AsyncIterator[tuple[EnvoyProcess, Client]]:
    """Run an edge before a service with this policy and instances on these ports."""
    grayplane = Grayplane(home)
    grayplane.rule("reviews.yaml", {"hosts": [HOST], "trafficPolicy": policy})
    grayplane.listed("reviews", [{"address": "127.0.0.1", "port": port} for port in ports])
    async with (
        grayplane,
        EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
        Client(grayplane.edge_port) as client,
    ):
        yield envoy, client


class TlsServer:
    """Answers every request with the ALPN protocol and the subject of the client's certificate."""

    def __init__(self, pair: Pair, client_ca: Path | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        if client_ca:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self._context.sni_callback = self._note_name
        self.names: list[str | None] = []

    async def __aenter__(self) -> "TlsServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def _note_name(self, _: object, name: str | None, __: object) -> None:
        self.names.append(name)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        tls = writer.get_extra_info("ssl_object")
        subject = dict(part[0] for part in (tls.getpeercert() or {}).get("subject", ()))
        said = {"alpn": tls.selected_alpn_protocol(), "client": subject.get("commonName")}
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()


async def test_tls_with_a_name_to_check(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = {"mode": "SIMPLE", "sni": "reviews.internal", "caCertificates": str(authority.file)}
    async with (
        TlsServer(authority.issue("reviews.internal", dns=["reviews.internal"])) as server,
        edge(tmp_path, {"tls": tls}, server.port) as (_, client),
    ):
        assert (await client.get(HOST)).json() == {"alpn": "http/1.1", "client": None}
        assert set(server.names) == {"reviews.internal"}


@pytest.mark.parametrize(
    "wrong",
    [{"sni": "other.internal"}, {"subjectAltNames": ["other.internal"]}, {"ca": "other"}],
    ids=["sni", "subjectAltNames", "authority"],
)
async def test_an_instance_that_is_not_who_it_should_be_gets_no_request(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    trusted = other if wrong.pop("ca", None) else authority
    tls = {"mode": "SIMPLE", "sni": "reviews.internal", "caCertificates": str(trusted.file), **wrong}
    pair = authority.issue("reviews.internal", dns=["reviews.internal"])
    async with (
        TlsServer(pair) as server,
        edge(tmp_path, {"tls": tls}, server.port) as (_, client),
    ):
        assert (await client.get(HOST)).status == 503


async def test_mutual_tls_shows_the_proxys_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("edge.internal")
    tls = {
        "mode": "MUTUAL",
        "sni": "reviews.internal",
        "caCertificates": str(authority.file),
        "clientCertificate": str(own.certificate),
        "privateKey": str(own.key),
    }
    async with (
        TlsServer(
            authority.issue("reviews.internal", dns=["reviews.internal"]), client_ca=authority.file
        ) as server,
        edge(tmp_path, {"tls": tls}, server.port) as (_, client),
    ):
        assert (await client.get(HOST)).json()["client"] == "edge.internal"


@pytest.mark.parametrize(
    ("hashed", "target", "header"),
    [
        ({"httpHeaderName": "x-user-id"}, "/", ("x-user-id", "{}")),
        ({"httpCookie": {"name": "uid"}}, "/", ("cookie", "uid={}")),
        ({"httpQueryParameterName": "uid"}, "/?uid={}", ("x", "y")),
    ],
    ids=["header", "cookie", "query"],
)
async def test_a_consistent_hash_keeps_a_user_on_an_instance(
    tmp_path: Path, hashed: dict[str, Any], target: str, header: tuple[str, str]
) -> None:
    async with (
        Upstream("reviews", "v1") as one,
        Upstream("reviews", "v1") as two,
        Upstream("reviews", "v1") as three,
        edge(tmp_path, {"loadBalancer": {"consistentHash": hashed}}, one.port, two.port, three.port) as (
            _,
            client,
        ),
    ):

        async def instances(user: int) -> set[str]:
            fields = [(header[0], header[1].format(user))]
            answers = [await client.get(HOST, target.format(user), fields) for _ in range(4)]
            return {answer.json()["instance"] for answer in answers}

        found = [await instances(user) for user in range(30)]
        assert all(len(instance) == 1 for instance in found)
        assert len(set().union(*found)) == 3


async def test_a_cookie_with_a_ttl_is_generated(tmp_path: Path) -> None:
    hashed = {"httpCookie": {"name": "uid", "ttl": "1h"}}
    async with (
        Upstream("reviews", "v1") as one,
        Upstream("reviews", "v1") as two,
        edge(tmp_path, {"loadBalancer": {"consistentHash": hashed}}, one.port, two.port) as (_, client),
    ):
        first = await client.get(HOST)
        cookie = first.headers["set-cookie"].split(";")[0]
        again = [await client.get(HOST, headers=[("cookie", cookie)]) for _ in range(8)]
        assert {answer.json()["instance"] for answer in again} == {first.json()["instance"]}


async def test_more_requests_than_the_pool_allows_are_refused(tmp_path: Path) -> None:
    asked, held = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await held.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    pool = {"http": {"http2MaxRequests": 1}}
    async with (
        listening,
        edge(tmp_path, {"connectionPool": pool}, port) as (envoy, client),
        Client(await envoy.port("edge")) as other,
    ):
        under_way = asyncio.create_task(other.get(HOST))
        await asked.wait()
        assert (await client.get(HOST)).status == 503
        held.set()
        assert (await under_way).status == 200


@pytest.mark.parametrize(
    "policy",
    [
        {"loadBalancer": {"simple": "RANDOM"}},
        {"loadBalancer": {"simple": "ROUND_ROBIN", "warmup": {"duration": "60s", "minimumPercent": 1}}},
        {"loadBalancer": {"warmup": {"duration": "1ms"}}},
        {"loadBalancer": {"consistentHash": {"useSourceIp": True}}},
        {"connectionPool": {"tcp": {"connectTimeout": "1ms", "idleTimeout": "1h"}}},
        {"connectionPool": {"tcp": {"maxConnectionDuration": "1s"}, "http": {"maxRetries": 0}}},
        {"connectionPool": {"http": {"http2MaxRequests": 1, "maxRequestsPerConnection": 1}}},
        {"connectionPool": {"http": {"maxConcurrentStreams": 2147483647}}, "protocol": "http2"},
        {"outlierDetection": {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 1}},
        {"outlierDetection": {"minHealthPercent": 0, "maxEjectionPercent": 0, "interval": "1ms"}},
        {"outlierDetection": {"baseEjectionTime": "1h", "consecutive5xxErrors": 4294967295}},
        {"healthCheck": {"interval": "1s", "timeout": "1s"}},
        {"healthCheck": {"interval": "1s", "timeout": "1s"}, "protocol": "grpc"},
        {"healthCheck": {"path": "/a", "interval": "1ms", "timeout": "1ms"}, "protocol": "http2"},
        {"protocol": "auto"},
        {"protocol": "auto", "tls": {"mode": "SIMPLE"}},
        {"protocol": "grpc", "tls": {"mode": "SIMPLE", "subjectAltNames": ["spiffe://a/b", "10.0.0.1", "a"]}},
        {"tls": {"mode": "DISABLE"}},
    ],
    ids=json.dumps,
)
async def test_envoy_takes_every_policy(tmp_path: Path, policy: dict[str, Any]) -> None:
    async with Upstream("reviews", "v1") as upstream, edge(tmp_path, policy, upstream.port) as (envoy, _):
        stats = await envoy.stats("cluster_manager.cds.update_rejected|cluster.reviews.membership_total")
        assert stats["cluster_manager.cds.update_rejected"] == 0
        assert stats["cluster.reviews.membership_total"] == 1
