"""Passwords, tokens, access keys and private keys come out nowhere, whatever goes wrong."""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import grpc.aio
import httpx
import pytest

from tests.envoy.test_tls import EDGE, GRANT, edge
from tests.harness import PATIENCE
from tests.harness.certificates import Authority, Pair
from tests.harness.envoy import EnvoyProcess
from tests.harness.fake_nacos import FakeNacos3, fake_nacos
from tests.harness.grayplane import Grayplane, until
from tests.harness.http import Upstream
from tests.harness.nacos import port_pair
from tests.harness.ports import free_port
from tests.harness.tcp_proxy import TcpProxy, tcp_proxy
from tests.harness.traffic import Traffic
from tests.nacos.outage import until_trouble, until_well
from tests.nacos.test_tls import server_context
from tests.nacos.world import HOST
from xds.server.client_status import FETCH

pytestmark = pytest.mark.outage

# One for each place that takes one, and each to be found by its own text.
PASSWORD, OTHER_PASSWORD = "pass-Zq1&xv+7", "pass-Kw8&jd+2"
TOKEN = "token-Zq3xv9"
SECRET_KEY = "key-Zq4xv9"
OPERATOR, STRANGER = "gp_Zq5xv9operator", "gp_Zq6xv9stranger"
WEBHOOK = "hook-Zq7xv9"
PROMETHEUS = "prom-Zq8xv9"
TEXTS = {PASSWORD, OTHER_PASSWORD, TOKEN, SECRET_KEY, OPERATOR, STRANGER, WEBHOOK, PROMETHEUS}

API = (
    *("overview", "caller", "services", "services/reviews", "documents", "documents/reviews.yaml"),
    *("documents/broken.yaml", "proxies", "proxies/edge-1", "rollouts", "rollouts/reviews", "audit"),
)
OPEN = ("/ready", "/live", "/metrics", "/api/v1/openapi.json")


class Keys(NamedTuple):
    """Every certificate with a key that Grayplane or a client of it has."""

    nacos: Pair
    edge: Pair
    xds: Pair
    http: Pair
    proxy: Pair


class Outputs:
    """Everything that Grayplane lets out."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}

    def add(self, name: str, content: bytes) -> None:
        self.found[name] = self.found.get(name, b"") + content

    def leaks(self, secrets: set[bytes]) -> set[tuple[str, bytes]]:
        """Where a secret is, and which."""
        return {
            (name, secret)
            for name, content in self.found.items()
            for secret in secrets
            for form in (secret, base64.b64encode(secret), quote(secret).encode())
            if form in content
        }


def key_lines(*pairs: Pair) -> set[bytes]:
    """The lines of private keys, of which one alone would be too much."""
    lines = (line for pair in pairs for line in pair.key.read_bytes().splitlines())
    return {line for line in lines if b"-----" not in line and len(line) > 20}


def rollout_document(hook: str) -> str:
    document: Any = {
        "hosts": [HOST],
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {
                "name": "ramp",
                "route": [{"subset": "stable", "weight": 95}, {"subset": "gray", "weight": 5}],
            }
        ],
        "rollout": {
            "subset": "gray",
            "steps": [{"weight": 20, "for": "1h"}, {"weight": 100}],
            "analysis": {
                "interval": "1s",
                "minRequests": 1,
                "prometheus": [{"name": "errors", "query": "up", "max": 1}],
                "webhooks": [{"name": "smoke", "url": hook}],
            },
        },
    }
    return json.dumps(document)


@contextlib.asynccontextmanager
async def grayplane_with_secrets(
    home: Path, address: str, authority: Authority, keys: Keys, outside: int
) -> AsyncIterator[Grayplane]:
    https_port = free_port()
    xds_tls = {
        "certificate": str(keys.xds.certificate),
        "key": str(keys.xds.key),
        "client_ca": str(authority.file),
    }
    environment = {
        "GRAYPLANE_NACOS__PASSWORD": PASSWORD,
        "GRAYPLANE_NACOS__SECRET_KEY": SECRET_KEY,
        "GRAYPLANE_XDS__TLS": json.dumps(xds_tls),
        "GRAYPLANE_XDS__GRANTS": json.dumps([GRANT | {"status": True}]),
        "GRAYPLANE_ROLLOUTS__WEBHOOK_SECRET": WEBHOOK,
        "GRAYPLANE_ROLLOUTS__PROMETHEUS": f"http://grayplane:{PROMETHEUS}@127.0.0.1:{outside}",
        "GRAYPLANE_CERTIFICATES": json.dumps(
            [{"certificate": str(keys.edge.certificate), "key": str(keys.edge.key)}]
        ),
        "GRAYPLANE_HTTP__TOKENS": json.dumps(
            [
                {
                    "name": "ann",
                    "role": "operator",
                    "sha256": hashlib.sha256(OPERATOR.encode()).hexdigest(),
                }
            ]
        ),
        # Libraries and Python say all they can.
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONWARNINGS": "default",
    }
    flags = {
        "nacos.username": "reader",
        "nacos.access_key": "ak-reader",
        "nacos.tls.ca": authority.file,
        "nacos.tls.cert": keys.nacos.certificate,
        "nacos.tls.key": keys.nacos.key,
        "http.tls.certificate": keys.http.certificate,
        "http.tls.key": keys.http.key,
        "edge.https_port": https_port,
        "log.level": "debug",
    }
    pairs = [part for name, value in flags.items() for part in ("--set", f"{name}={value}")]
    grayplane = Grayplane(home, "--nacos", address, *pairs, environment=environment)
    grayplane.http_tls = ssl.create_default_context(cafile=authority.file)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(grayplane)
        await grayplane.launch()
        yield grayplane


async def look(grayplane: Grayplane, outputs: Outputs, authority: Authority, shown: Pair) -> None:
    """Ask for everything there is to be asked for."""
    base = f"https://127.0.0.1:{grayplane.http_port}"
    assert grayplane.http_tls
    async with httpx.AsyncClient(
        base_url=base, verify=grayplane.http_tls, trust_env=False, timeout=PATIENCE
    ) as http:
        for path in (*OPEN, *(f"/api/v1/{each}" for each in API)):
            for token in (OPERATOR, STRANGER):
                answer = await http.get(path, headers={"authorization": f"Bearer {token}"})
                outputs.add(f"{path} {answer.status_code}", answer.content + str(answer.headers).encode())
        for kind in ("clusters", "listeners", "routes", "secrets"):
            body = {"node": {"id": "curious", "cluster": "edge"}}
            answer = await http.post(f"/v3/discovery:{kind}", json=body)
            outputs.add(f"discovery:{kind} {answer.status_code}", answer.content)
    files = (authority.file, shown.key, shown.certificate)
    credentials = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))
    async with grpc.aio.secure_channel(f"localhost:{grayplane.xds_port}", credentials) as channel:
        fetch: Any = channel.unary_unary(f"/{FETCH.service}/{FETCH.name}")
        outputs.add("CSDS", await fetch(b""))


async def go_wrong(
    nacos: FakeNacos3, proxy: TcpProxy, grayplane: Grayplane, look: Callable[[], Awaitable[None]]
) -> None:
    """Have everything go wrong that may make somebody print more than is good."""
    nacos.documents["broken.yaml"] = "hosts: [*oops"
    about = {"dataId": "broken.yaml", "group": "GRAY_GROUP", "tenant": "public"}
    nacos.push("ConfigChangeNotifyRequest", about)
    await grayplane.until_logged(lambda entry: entry["event"].startswith("rule document rejected"))
    await look()
    nacos.groups = set()
    await until_trouble(grayplane, "does not let 'reader' read")
    await look()
    nacos.groups = None
    await until_well(grayplane)
    await proxy.cut()
    await until_trouble(grayplane, "cannot be reached")
    await look()
    await proxy.start()
    await until_well(grayplane)
    nacos.instead["ConfigQueryRequest"] = {"resultCode": 500, "errorCode": 500, "message": "disk failure"}
    nacos.documents["another.yaml"] = "hosts: [a.example.com]"
    await until_trouble(grayplane, "disk failure")
    await look()


async def test_no_secret_comes_out(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    keys = Keys(
        nacos=authority.issue("grayplane"),
        edge=authority.issue(HOST, dns=[HOST]),
        xds=authority.server("xds"),
        http=authority.server("http"),
        proxy=authority.issue("edge-1", uris=[EDGE]),
    )
    outputs = Outputs()
    async with contextlib.AsyncExitStack() as stack:
        nacos = await stack.enter_async_context(fake_nacos(FakeNacos3))
        nacos.password, nacos.token = OTHER_PASSWORD, TOKEN
        outside = await stack.enter_async_context(Upstream("outside", "v1"))
        for version in ("v1", "v2"):
            upstream = await stack.enter_async_context(Upstream("reviews", version))
            host = {"ip": "127.0.0.1", "port": upstream.port, "metadata": {"version": version}}
            nacos.services.setdefault("reviews", []).append(host)
        nacos.documents["reviews.yaml"] = rollout_document(f"http://127.0.0.1:{outside.port}/hook")
        port, target = port_pair(), int(nacos.address.rpartition(":")[2])
        tls = server_context(authority, wants_certificate=True)
        ports = {port: target, port + 1000: target + 1000}
        proxy = await stack.enter_async_context(tcp_proxy("127.0.0.1", ports, tls))
        home = tmp_path / "home"
        home.mkdir()
        grayplane = await stack.enter_async_context(
            grayplane_with_secrets(home, f"127.0.0.1:{port}", authority, keys, outside.port)
        )
        await until_trouble(grayplane, "refuses to log in 'reader'")
        nacos.password = PASSWORD
        await stack.enter_async_context(EnvoyProcess(edge(tmp_path, authority, grayplane, keys.proxy)))
        await grayplane.until_logged(lambda entry: entry.get("type") == "Secret")
        await stack.enter_async_context(Traffic(grayplane.edge_port, HOST))

        async def asked_outside() -> bool:
            return outside.requests > 2  # the webhook, then queries

        await until(asked_outside)
        outside.status = 500
        await go_wrong(nacos, proxy, grayplane, lambda: look(grayplane, outputs, authority, keys.proxy))
        await grayplane.stop()
        await asyncio.to_thread(files, home, outputs)
    for name, text in nacos.other_documents["GRAY_STATUS"].items():
        outputs.add(f"GRAY_STATUS {name}", text.encode())
    assert "GRAY_STATUS reviews.yaml" in outputs.found
    assert nacos.logins[-1]["password"] == PASSWORD
    secrets = {text.encode() for text in TEXTS} | key_lines(*keys)
    assert outputs.leaks({b"reader"}), "nothing was looked at"
    assert outputs.leaks(secrets) == set()


def files(home: Path, outputs: Outputs) -> None:
    """Everything that was written: the log, the snapshot, what is kept of rollouts."""
    for path in home.rglob("*"):
        if path.is_file():
            outputs.add(path.name, path.read_bytes())
    assert {"grayplane.log"} < outputs.found.keys()


def broken_settings() -> Iterator[Any]:
    """Settings of no use, with a secret in them."""
    yield pytest.param({}, f"nacos: {{username: reader, password: {PASSWORD}: oops}}", id="bad YAML")
    yield pytest.param({}, f"source: nacos\nnacos: {{server: 'a:1', password: {PASSWORD}}}", id="half")
    yield pytest.param({}, f"nacos: {{username: reader, password: [{PASSWORD}]}}", id="of another type")
    yield pytest.param({}, f"nacos: {{passwort: '{PASSWORD}'}}", id="misspelt")
    yield pytest.param({}, f"nacos: {{server: 'http://reader:{PASSWORD}@a:1'}}", id="in an address")
    yield pytest.param({"GRAYPLANE_NACOS__PASSWORT": PASSWORD}, "", id="misspelt variable")
    yield pytest.param({"GRAYPLANE_HTTP__TOKENS": f'[{{"sha256": "{OPERATOR}"}}]'}, "", id="token for a hash")
    yield pytest.param({"GRAYPLANE_HTTP__TOKENS": f"{OPERATOR}"}, "", id="no JSON")
    yield pytest.param({"GRAYPLANE_ROLLOUTS": f'{{"webhook_secret": ["{WEBHOOK}"]}}'}, "", id="section")


@pytest.mark.parametrize(("environment", "file"), [*broken_settings()])
def test_settings_of_no_use_are_told_without_secrets(
    environment: dict[str, str], file: str, tmp_path: Path
) -> None:
    path = tmp_path / "grayplane.yaml"
    path.write_text(file)
    program = Path(sys.executable).with_name("grayplane")
    told = subprocess.run(
        [program, "serve", "--config", str(path)],
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert told.returncode != 0
    assert told.stderr.startswith(b"grayplane: ")
    outputs = Outputs()
    outputs.add("what is told", told.stdout + told.stderr)
    assert outputs.leaks({text.encode() for text in TEXTS}) == set(), told.stderr.decode()
