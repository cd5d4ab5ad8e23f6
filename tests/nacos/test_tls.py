"""TLS on the way to a real Nacos, HTTP and gRPC."""

import ssl
from pathlib import Path

import pytest

from tests.harness.certificates import Authority
from tests.harness.nacos import NacosServer, port_pair
from tests.harness.nacos_console import Console
from tests.harness.recorder import recording
from tests.harness.tcp_proxy import tcp_proxy
from xds.sources.nacos import NacosSource, Tls


def server_context(authority: Authority, *, wants_certificate: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = authority.server()
    context.load_cert_chain(pair.certificate, pair.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)
    return context


@pytest.mark.parametrize("wants_certificate", [False, True])
async def test_tls_and_a_client_certificate(
    nacos: NacosServer, operator: Console, tmp_path: Path, *, wants_certificate: bool
) -> None:
    authority = Authority(tmp_path)
    ours = authority.issue("grayplane")
    host, _, target = nacos.address.rpartition(":")
    port = port_pair()
    ports = {port: int(target), port + 1000: int(target) + 1000}
    await operator.publish("a.yaml", "n: 0")
    async with tcp_proxy(host, ports, server_context(authority, wants_certificate=wants_certificate)):
        tls = Tls(ca=authority.file, cert=ours.certificate, key=ours.key)
        address = f"127.0.0.1:{port}"
        async with recording(
            NacosSource(nacos.settings(operator.namespace, address=address, tls=tls))
        ) as recorder:
            await recorder.until(lambda r: r.synced)
            await operator.publish("a.yaml", "n: 1")
            await recorder.until(lambda r: r.documents == {"a.yaml": b"n: 1"})
            assert recorder.trouble is None


async def test_a_server_that_another_authority_vouches_for(
    nacos: NacosServer, operator: Console, tmp_path: Path
) -> None:
    authority, another = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    host, _, target = nacos.address.rpartition(":")
    port = port_pair()
    ports = {port: int(target), port + 1000: int(target) + 1000}
    async with tcp_proxy(host, ports, server_context(authority, wants_certificate=False)):
        settings = nacos.settings(
            operator.namespace, address=f"127.0.0.1:{port}", tls=Tls(ca=another.file), request_timeout=1.0
        )
        async with recording(NacosSource(settings)) as recorder:
            reason = f"cannot be reached on its gRPC port {port + 1000}: its certificate is not trusted"
            await recorder.until(lambda r: r.trouble and reason in r.trouble)
            assert not recorder.synced
