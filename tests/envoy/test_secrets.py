"""What Grayplane tells anybody: no key, password, token or cookie is in it, however much is asked for."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import httpx
import psutil
import yaml

from tests.harness.certificates import Authority
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Upstream
from tests.harness.oidc_provider import AUDIENCE, CLIENT, SECRET, OidcProvider
from tests.harness.ports import free_ports
from xds.http.access import new_token

HOST = "one.example.com"
CSDS = "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus"
DISCOVERY = ("clusters", "endpoints", "listeners", "routes", "scoped-routes", "runtime", "extension_configs")
PASSWORD, WEBHOOK = "the password of Nacos, in truth", "the secret of webhooks, in truth"


async def test_no_secret_is_told_to_anybody(tmp_path: Path) -> None:
    provider_port, https_port = free_ports(2)
    provider = OidcProvider(provider_port)
    pair = Authority(tmp_path).issue(HOST, dns=[HOST])
    token, hashed = new_token()
    config = tmp_path / "settings.yaml"
    environment = {
        "GRAYPLANE_NACOS__USERNAME": "nacos",
        "GRAYPLANE_NACOS__PASSWORD": PASSWORD,
        "GRAYPLANE_HTTP__OIDC__CLIENT_SECRET": SECRET,
        "GRAYPLANE_ROLLOUTS__WEBHOOK_SECRET": WEBHOOK,
    }
    grayplane = Grayplane(
        tmp_path, "--config", str(config), "--set", "log.level=debug", environment=environment
    )
    site = f"http://127.0.0.1:{grayplane.http_port}"
    provider.redirect_uris.add(f"{site}/auth/callback")
    oidc = {
        "issuer": provider.issuer,
        "client_id": CLIENT,
        "url": site,
        "audience": AUDIENCE,
        "roles": [{"claim": "groups", "value": "platform", "role": "operator"}],
    }
    settings = {
        "http": {"tokens": [{"name": "alice", "role": "operator", "sha256": hashed}], "oidc": oidc},
        "certificates": [{"certificate": str(pair.certificate), "key": str(pair.key)}],
        "edge": {"https_port": https_port},
    }
    config.write_text(yaml.safe_dump(settings))
    grayplane.rule("reviews.yaml", {"hosts": [HOST]})
    with provider.running():
        async with Upstream("reviews", "v1") as upstream:
            grayplane.instances("reviews", upstream)
            async with (
                grayplane,
                EnvoyProcess(grayplane.bootstrap("edge")) as envoy,
                httpx.AsyncClient(base_url=site, trust_env=False, timeout=60) as client,
            ):

                async def has_certificate() -> bool:
                    return b"ssl.certificate" in (await envoy.admin("/stats?filter=ssl.certificate")).encode()

                await until(has_certificate)
                # A login in a browser, an access token, and a token of ours; and some that are wrong.
                at_provider = (await client.get("/auth/login")).headers["location"]
                back = (await client.post(at_provider, data={"user": "alice"})).headers["location"]
                assert (await client.get(back)).status_code == 303
                cookies = [cookie.value or "" for cookie in client.cookies.jar]
                jwt = provider.token()
                wrong = [token[:-1] + "x", jwt[:-4] + "xxxx"]
                for each in (token, jwt, *wrong):
                    answer = await client.get("/api/v1/caller", headers={"authorization": f"Bearer {each}"})
                    assert answer.status_code == (401 if each in wrong else 200)
                told = {name: text async for name, text in everything(client, token)}
                async with grpc.aio.insecure_channel(f"127.0.0.1:{grayplane.xds_port}") as channel:
                    fetch: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CSDS)
                    told["CSDS"] = await fetch(b"")
                core_bytes, _ = psutil.Process(grayplane.process_id).rlimit(psutil.RLIMIT_CORE)
            told["log"] = json.dumps(grayplane.log(), ensure_ascii=False).encode()
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert files
    assert core_bytes == 0, "a crash would leave keys on the disk"
    told |= {str(path): path.read_bytes() for path in files}
    key = [line for line in pair.key.read_bytes().splitlines() if b"-----" not in line]
    secrets = [PASSWORD, WEBHOOK, SECRET, token, jwt, jwt.rpartition(".")[2], *cookies, *wrong]
    assert all(text for text in told.values())
    for name, text in told.items():
        found = [each for each in (*(one.encode() for one in secrets if one), *key) if each in text]
        assert not found, (name, found)


async def everything(client: httpx.AsyncClient, token: str) -> AsyncIterator[tuple[str, bytes]]:
    """Yield all that can be asked for over HTTP."""
    headers = {"authorization": f"Bearer {token}"}
    described = (await client.get("/api/v1/openapi.json")).json()
    for path, methods in described["paths"].items():
        if "get" in methods and path != "/events":
            filled = path.replace("{name}", "reviews").replace("{proxy_id}", "edge-1")
            for each in {filled, filled.replace("/documents/reviews", "/documents/reviews.yaml")}:
                answer = await client.get(f"/api/v1{each}", headers=headers)
                yield each, answer.content
    for path in ("/metrics", "/ready", "/live", "/dashboard/", "/api/v1/openapi.json"):
        yield path, (await client.get(path)).content
    for noun in DISCOVERY:
        body = {"node": {"id": "e", "cluster": "edge"}, "resource_names": []}
        yield noun, (await client.post(f"/v3/discovery:{noun}", json=body)).content
