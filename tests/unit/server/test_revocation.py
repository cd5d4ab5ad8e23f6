"""Certificates that their authority took back, over real gRPC with mTLS."""

from pathlib import Path

import grpc
import pytest
from envoy_data_plane.envoy.config.core.v3 import Node as NodeMessage
from envoy_data_plane.google.protobuf import Struct

from tests.harness.certificates import Authority, Pair
from tests.unit.server.clients import DeltaStream, RawStream, running
from xds.cache import Resource
from xds.server import Authorization, Grant, RevocationList, TlsError, TlsFiles
from xds.server.client_status import FETCH
from xds.server.revocation import certificate_id
from xds.type_urls import CLUSTER

A = Resource.of(CLUSTER, "a", b"\x0a\x01a")
EDGE = NodeMessage(id="e", cluster="edge", metadata=Struct.from_dict({"role": "edge"}))


class Fleet:
    """Two edges with certificates of one authority, and the file of those that it took back."""

    def __init__(self, home: Path) -> None:
        self.authority = Authority(home / "ca")
        self.good, self.stolen = (
            self.authority.issue(name, dns=["edge.internal"]) for name in ("good", "stolen")
        )
        self.file = home / "revoked.pem"
        self.file.write_bytes(self.authority.revoke())
        self.revoked = RevocationList(self.file, self.authority.file)
        grants = [Grant("dns:edge.internal", status=True)]
        self.authorization = Authorization(grants, revoked=self.revoked)

    def tls(self) -> TlsFiles:
        server = self.authority.server()
        return TlsFiles(server.certificate, server.key, self.authority.file)

    def credentials(self, pair: Pair) -> grpc.ChannelCredentials:
        read = (pair.key.read_bytes(), pair.certificate.read_bytes())
        return grpc.ssl_channel_credentials(self.authority.file.read_bytes(), *read)

    def revoke(self, content: bytes) -> bool:
        fresh = self.file.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(self.file)
        return self.revoked.look()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


async def test_streams_of_a_revoked_certificate_end_and_it_opens_no_other(fleet: Fleet) -> None:
    async with (
        running(A, tls=fleet.tls(), authorization=fleet.authorization) as it,
        DeltaStream(it.port, credentials=fleet.credentials(fleet.stolen)) as stolen,
        DeltaStream(it.port, credentials=fleet.credentials(fleet.good)) as good,
    ):
        for stream in (stolen, good):
            await stream.ask(CLUSTER, node=EDGE)
            await stream.ack(await stream.next())
        assert fleet.revoke(fleet.authority.revoke(fleet.stolen))
        it.server.end_revoked()
        assert (await stolen.status())[0] is grpc.StatusCode.OK
        it.view.apply([Resource.of(CLUSTER, "a", b"\x0a\x01a\x1a\x00")])
        assert (await good.next()).resources[0].name == "a"
        async with DeltaStream(it.port, credentials=fleet.credentials(fleet.stolen)) as again:
            await again.ask(CLUSTER, node=EDGE)
            code, details = await again.status()
            assert (code, "revoked" in details) == (grpc.StatusCode.PERMISSION_DENIED, True)
        status = f"/{FETCH.service}/StreamClientStatus"
        async with RawStream(it.port, status, credentials=fleet.credentials(fleet.stolen)) as reading:
            assert (await reading.status())[0] is grpc.StatusCode.PERMISSION_DENIED


def test_a_list_of_no_use_leaves_the_one_before_in_force(fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.revoke(fleet.authority.revoke(fleet.stolen))
    before = [peer in fleet.revoked for peer in _ids(fleet)]
    other = Authority(tmp_path / "other")
    same_name = fleet.authority.revoke()[:60]
    for content in (b"", b"garbage", other.revoke(), same_name):
        assert not fleet.revoke(content)
        assert [peer in fleet.revoked for peer in _ids(fleet)] == before == [False, True]
    fleet.file.unlink()
    assert not fleet.revoked.look()
    assert fleet.revoke(fleet.authority.revoke(out_of_date=True))
    assert [peer in fleet.revoked for peer in _ids(fleet)] == [False, False]


def test_a_list_that_comes_before_its_authority_counts_once_that_is_there(
    fleet: Fleet, tmp_path: Path
) -> None:
    successor = Authority(tmp_path / "successor", "next")
    stolen = successor.issue("stolen", dns=["edge.internal"])
    assert not fleet.revoke(fleet.authority.revoke() + successor.revoke(stolen))
    stolen_id = certificate_id({"x509_pem_cert": [stolen.certificate.read_bytes()]})
    assert stolen_id not in fleet.revoked
    both = fleet.authority.file.read_bytes() + successor.file.read_bytes()
    fleet.authority.file.write_bytes(both)
    assert fleet.revoked.look()
    assert stolen_id in fleet.revoked


def test_a_server_does_not_start_with_a_list_of_no_use(fleet: Fleet, tmp_path: Path) -> None:
    fleet.file.write_bytes(Authority(tmp_path / "other").revoke())
    for file in (fleet.file, tmp_path / "missing.pem", fleet.good.certificate):
        with pytest.raises(TlsError, match=str(file)):
            RevocationList(file, fleet.authority.file)


def _ids(fleet: Fleet) -> list[object]:
    pairs = (fleet.good, fleet.stolen)
    return [certificate_id({"x509_pem_cert": [pair.certificate.read_bytes()]}) for pair in pairs]
