"""A real Envoy and ``grayplane serve`` with certificates: `grayplane bootstrap --tls`, renewal, refusal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.harness.certificates import Authority, Pair
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from xds.bootstrap import BootstrapKind, ClientTls, Values, bootstrap, envoy_secrets

EDGE = "spiffe://prod/edge/edge-1"
GRANT = {"identity": "uri:spiffe://prod/edge/*", "roles": ["edge"], "groups": ["edge"]}
RULE = """
hosts: [reviews.test]
gateways: [edge]
subsets: {stable: {labels: {version: v1}}}
baseline: stable
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@asynccontextmanager
async def serving(
    home: Path, authority: Authority, server: Pair, *, processes: int = 1
) -> AsyncIterator[Grayplane]:
    settings = home / "settings.yaml"
    tls = {"certificate": str(server.certificate), "key": str(server.key), "client_ca": str(authority.file)}
    settings.write_text(yaml.safe_dump({"xds": {"tls": tls, "grants": [GRANT], "processes": processes}}))
    async with Grayplane(home, "--config", str(settings)) as grayplane:
        yield grayplane


def edge(home: Path, authority: Authority, grayplane: Grayplane, shown: Pair, **node: Any) -> dict[str, Any]:
    """Return the bootstrap that `grayplane bootstrap edge --tls` prints, with the files that it needs."""
    own, secrets = home / "own", home / "secrets"
    for directory in (own, secrets):
        directory.mkdir()
    (own / "ca.crt").write_bytes(authority.file.read_bytes())
    (own / "tls.crt").write_bytes(shown.certificate.read_bytes())
    (own / "tls.key").write_bytes(shown.key.read_bytes())
    tls = ClientTls(own, secrets, "localhost")
    for name, text in envoy_secrets(tls).items():
        (secrets / name).write_text(text)
    text = bootstrap(BootstrapKind.EDGE, Values(xds=("127.0.0.1", grayplane.xds_port), tls=tls, **node))
    printed: dict[str, Any] = yaml.safe_load(text)
    printed["admin"]["address"]["socket_address"]["port_value"] = 0
    return printed


async def test_envoy_is_served_and_both_sides_renew_their_certificates(
    tmp_path: Path, authority: Authority
) -> None:
    used = authority.server()
    first = authority.issue("edge-1", uris=[EDGE])
    async with (
        serving(tmp_path, authority, used) as grayplane,
        Upstream("reviews", "v1") as upstream,
    ):
        grayplane.instances("reviews", upstream)
        grayplane.rule("reviews.yaml", RULE)
        async with (
            EnvoyProcess(edge(tmp_path, authority, grayplane, first)) as envoy,
            Client(grayplane.edge_port) as client,
        ):

            async def served() -> bool:
                return (await client.get("reviews.test", "/")).status == 200

            await until(served)
            renewed = authority.issue("edge-1-renewed", uris=[EDGE])
            renewed.copy_to(Pair(tmp_path / "own" / "tls.crt", tmp_path / "own" / "tls.key"))
            await until(lambda: _shows(envoy, renewed))
            authority.server("renewed").copy_to(used)
            await grayplane.kill()
            await grayplane.start()
            await until(lambda: _connected(envoy))
            assert await served()


async def _shows(envoy: EnvoyProcess, pair: Pair) -> bool:
    """Whether Envoy uses a certificate."""
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    return f"{certificate.serial_number:x}" in await envoy.admin("/certs")


async def _connected(envoy: EnvoyProcess) -> bool:
    return sum((await envoy.stats("control_plane.connected_state")).values()) == 1


async def test_envoy_takes_nothing_from_a_server_with_a_certificate_of_another(
    tmp_path: Path, authority: Authority
) -> None:
    used = authority.issue("other", dns=["other.internal"])
    shown = authority.issue("edge-1", uris=[EDGE])
    async with (
        serving(tmp_path, authority, used, processes=2) as grayplane,
        Upstream("reviews", "v1") as upstream,
    ):
        grayplane.instances("reviews", upstream)
        grayplane.rule("reviews.yaml", RULE)
        async with (
            EnvoyProcess(edge(tmp_path, authority, grayplane, shown)) as envoy,
            Client(grayplane.edge_port) as client,
        ):

            async def refused() -> bool:
                stats = await envoy.admin("/stats?filter=cluster.grayplane.ssl.fail_verify_san")
                return int(stats.rpartition(": ")[2]) > 1

            await until(refused)
            assert not any(line["event"] == "client connected" for line in grayplane.log())
            authority.server().copy_to(used)

            async def served() -> bool:
                with suppress(ConnectionError):  # no listener yet
                    return (await client.get("reviews.test", "/")).status == 200
                return False

            await until(served)


@pytest.mark.parametrize(
    ("uri", "cluster", "reason", "processes"),
    [
        ("spiffe://prod/edge/edge-1", "internal", "group (node.cluster) 'internal' is not granted", 1),
        ("spiffe://prod/sidecar/orders", "edge", "no grant is for it", 2),
    ],
)
async def test_an_envoy_that_claims_what_is_not_its_own_gets_nothing_and_the_log_says_why(
    tmp_path: Path, authority: Authority, uri: str, cluster: str, reason: str, processes: int
) -> None:
    shown = authority.issue("edge-1", uris=[uri])
    async with serving(tmp_path, authority, authority.server(), processes=processes) as grayplane:
        hostile = edge(tmp_path, authority, grayplane, shown, cluster=cluster)
        async with EnvoyProcess(hostile, ready=False) as envoy:
            entry = await grayplane.until_logged(lambda entry: entry.get("status") == "PERMISSION_DENIED")
            assert reason in entry["reason"]
            assert await envoy.stats("cluster_manager.cds.update_success") == {
                "cluster_manager.cds.update_success": 0
            }
