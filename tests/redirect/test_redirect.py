"""Transparent interception outside Docker: the kernel redirects an application's calls to its sidecar.

In a network namespace of its own, which takes root and iptables (make test-redirect).
"""

import asyncio
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane
from tests.harness.http import Upstream
from tests.harness.ports import free_port

pytestmark = pytest.mark.redirect

_CLONE_NEWNET = 0x40000000
_APPLICATION_GROUP = 7001
_NOBODY_LISTENS = "192.0.2.7"
"""What the service's name resolves to, for the application: an address that there is a route to."""

_CALL = """
import http.client, sys
address, port, host = sys.argv[1:]
connection = http.client.HTTPConnection(address, int(port), timeout=30)
connection.request("GET", "/a?b=c", headers={"host": host})
response = connection.getresponse()
print(response.status, response.read().decode())
"""


@pytest.fixture
def namespace() -> Iterator[None]:
    """Put this thread, and the processes that it starts, into a new network namespace.

    In it, calls to port 80 are redirected to the sidecar's outbound port; those of Envoy, told by its group,
    are not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET):
            pytest.fail(f"no network namespace can be made: {os.strerror(ctypes.get_errno())}; run as root")
        for command in ("ip link set lo up", f"ip address add {_NOBODY_LISTENS}/24 dev lo"):
            subprocess.run(command.split(), check=True, capture_output=True)
        yield
    finally:
        libc.setns(before, _CLONE_NEWNET)
        os.close(before)


def redirect(port: int) -> None:
    """Redirect as docs/proxies.md says, with a group in the place of a user."""
    rule = f"-p tcp --dport 80 -m owner ! --gid-owner {os.getgid()} -j REDIRECT --to-ports {port}"
    subprocess.run(["iptables", "-t", "nat", "-A", "OUTPUT", *rule.split()], check=True)


async def call(address: str, port: int, host: str) -> str:
    """Call as an application does that knows nothing of its sidecar; return what it prints."""
    application = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CALL, address, str(port), host),
        group=_APPLICATION_GROUP,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await application.communicate()
    return output.decode()


@pytest.mark.usefixtures("namespace")
async def test_calls_are_redirected_to_the_sidecar_and_its_own_are_not(tmp_path: Path) -> None:
    gray_rule = {
        "subsets": {"stable": {"labels": {"version": "v1"}}, "gray": {"labels": {"version": "v2"}}},
        "baseline": "stable",
        "http": [
            {"match": [{"query": {"b": {"exact": "c"}}}], "route": [{"subset": "gray"}], "name": "testers"}
        ],
    }
    grayplane = Grayplane(tmp_path)
    grayplane.rule("reviews.yaml", gray_rule)
    async with (
        Upstream("reviews", "v1") as v1,
        Upstream("reviews", "v2", 80) as v2,  # redirected, it would be the sidecar calling itself for ever
        Upstream("elsewhere", "v1", free_port()) as elsewhere,
    ):
        grayplane.instances("reviews", v1, v2)
        async with grayplane, EnvoyProcess(grayplane.bootstrap("sidecar")):
            refused = await call(_NOBODY_LISTENS, 80, "reviews")
            assert "ConnectionRefusedError" in refused, "without a redirection nobody listens there"
            redirect(grayplane.outbound_port)
            answer = await call(_NOBODY_LISTENS, 80, "reviews")
            assert answer.startswith("200 ")
            assert '"version": "v2"' in answer
            assert '"path": "/a?b=c"' in answer
            assert (await call(_NOBODY_LISTENS, 80, "unknown")).startswith("404 ")
            other = await call("127.0.0.1", elsewhere.port, "reviews")
            assert '"service": "elsewhere"' in other, "other ports are left alone"
