"""Edges serve HTTPS with the certificates of the settings, and get new ones as the files change."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509

from tests.harness import PATIENCE
from tests.harness.certificates import Authority
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Client, Upstream
from tests.harness.ports import free_port

ONE, TWO = "one.example.com", "two.example.com"


class HttpsEdge:
    """An edge that serves HTTPS for two hosts, before one service."""

    def __init__(self, grayplane: Grayplane, envoy: EnvoyProcess, authority: Authority, port: int) -> None:
        self.grayplane = grayplane
        self.envoy = envoy
        self.authority = authority
        self.port = port
        self._trusts = authority.client_context()

    async def certificate(self, host: str) -> x509.Certificate:
        """Return the certificate that is shown to who asks for a host."""
        trusts = self.authority.client_context()
        trusts.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trusts, server_hostname=host)
        tls = writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "h2"
        writer.close()
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))

    async def get(self, host: str) -> httpx.Response:
        """Send a request over HTTPS, checking the certificate."""
        async with httpx.AsyncClient(verify=self._trusts, trust_env=False, timeout=PATIENCE) as client:
            return await client.get(
                f"https://127.0.0.1:{self.port}/a?b=c",
                headers={"host": host},
                extensions={"sni_hostname": host},
            )


@asynccontextmanager
async def https_edge(
    home: Path, *, processes: int = 1, hosts: Sequence[str] = (ONE, TWO), **settings: Any
) -> AsyncIterator[HttpsEdge]:
    """Run an edge with certificates of some hosts; the settings are those of ``edge``."""
    authority = Authority(home)
    pairs = [authority.issue(f"{number}", dns=[host]) for number, host in enumerate(hosts)]
    listed = [{"certificate": str(pair.certificate), "key": str(pair.key)} for pair in pairs]
    port = free_port()
    grayplane = Grayplane(home, environment={"GRAYPLANE_CERTIFICATES": json.dumps(listed)})
    grayplane.set("xds.processes", str(processes))
    for name, value in {"https_port": port, **settings}.items():
        grayplane.set(f"edge.{name}", str(value))
    async with Upstream("reviews", "v1") as upstream:
        grayplane.rule("reviews.yaml", {"hosts": [ONE, TWO, "three.example.com"]})
        grayplane.instances("reviews", upstream)
        async with grayplane, EnvoyProcess(grayplane.bootstrap("edge")) as envoy:
            yield HttpsEdge(grayplane, envoy, authority, port)


async def test_each_host_has_its_certificate(tmp_path: Path) -> None:
    async with https_edge(tmp_path) as edge:
        for host in (ONE, TWO):
            answer = await edge.get(host)
            assert answer.status_code == 200
            assert answer.json()["headers"]["x-forwarded-proto"] == "https"
            assert await names(edge, host) == [host]


async def test_a_certificate_of_the_very_host_goes_before_one_of_all_and_two_of_one_host_do_no_harm(
    tmp_path: Path,
) -> None:
    async with https_edge(tmp_path, hosts=("*.example.com", ONE, ONE)) as edge:
        assert await names(edge, ONE) == [ONE]
        assert await names(edge, TWO) == ["*.example.com"]
        for host in (ONE, TWO):
            assert (await edge.get(host)).status_code == 200


async def names(edge: HttpsEdge, host: str) -> list[str]:
    certificate = await edge.certificate(host)
    return certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value.get_values_for_type(x509.DNSName)


async def test_plain_http_is_redirected(tmp_path: Path) -> None:
    async with (
        https_edge(tmp_path, https_redirect_port=8443) as edge,
        Client(edge.grayplane.edge_port) as client,
    ):
        answer = await client.request("POST", ONE, "/a?b=c", body=b"order")
        assert answer.status == 308
        assert answer.headers["location"] == f"https://{ONE}:8443/a?b=c"


async def test_hsts_is_a_setting(tmp_path: Path) -> None:
    async with https_edge(tmp_path, hsts=3600, https_redirect="false") as edge:
        assert (await edge.get(ONE)).headers["strict-transport-security"] == "max-age=3600"
        async with Client(edge.grayplane.edge_port) as client:
            answer = await client.get(ONE)
        assert answer.status == 200
        assert "strict-transport-security" not in answer.headers, "it means nothing over plain HTTP"


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    async with https_edge(tmp_path) as edge:
        asked = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", ONE),
            *("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asked.communicate()
        assert asked.returncode
        assert b"alert protocol version" in said


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    async with https_edge(tmp_path, processes=2) as edge:
        before = await edge.certificate(ONE)
        edge.authority.issue("0", dns=[ONE])

        async def renewed() -> bool:
            return (await edge.certificate(ONE)).serial_number != before.serial_number

        await until(renewed)
        assert (await edge.get(ONE)).status_code == 200


async def test_a_key_that_is_not_the_certificates_changes_nothing(tmp_path: Path) -> None:
    async with https_edge(tmp_path) as edge:
        before = await edge.certificate(ONE)
        (tmp_path / "0.key").write_bytes((tmp_path / "1.key").read_bytes())
        said = await edge.grayplane.until_logged(lambda entry: "certificate cannot be used" in entry["event"])
        assert "is not the key of" in said["reason"]
        assert (await edge.certificate(ONE)).serial_number == before.serial_number


async def test_keys_are_shown_nowhere(tmp_path: Path) -> None:
    async with https_edge(tmp_path) as edge:
        secrets = [(tmp_path / f"{number}.key").read_text().splitlines()[1] for number in range(2)]
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            base = f"http://127.0.0.1:{edge.grayplane.http_port}"
            node = {"node": {"id": "edge-9", "cluster": "edge"}}
            asked = await client.post(f"{base}/v3/discovery:secrets", json=node)
            assert asked.status_code == 404
            listeners = (await client.post(f"{base}/v3/discovery:listeners", json=node)).text
        await edge.grayplane.stop()
        kept = b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())
        logged = json.dumps(edge.grayplane.log())
        for secret in secrets:
            assert secret not in listeners
            assert secret.encode() not in kept
            assert secret not in logged
            assert secret not in await edge.envoy.admin("/config_dump")


async def test_other_groups_get_no_certificate(tmp_path: Path) -> None:
    async with https_edge(tmp_path) as edge, EnvoyProcess(edge.grayplane.bootstrap("sidecar")) as sidecar:
        kind = "type.googleapis.com/envoy.admin.v3.SecretsConfigDump"
        assert [part for part in await sidecar.config_dump() if part["@type"] == kind] == [{"@type": kind}]


async def test_a_host_without_certificate_is_named(tmp_path: Path) -> None:
    async with https_edge(tmp_path) as edge:
        said = await edge.grayplane.until_logged(lambda entry: "no certificate" in str(entry.get("problem")))
        assert (said["document"], said["field"]) == ("reviews.yaml", "hosts[2]")
        assert said["problem"] == "gateway edge has no certificate for three.example.com"
