"""A Nacos with accounts that refuses, while requests go through a real Envoy: none fails, no edit is lost.

r-nacos has no permissions, so these are with the fake of an official server, which speaks its protocols.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.envoy import EnvoyProcess
from tests.harness.fake_nacos import FakeNacos3, fake_nacos
from tests.harness.grayplane import Grayplane
from tests.harness.http import Client, Upstream
from tests.harness.traffic import Traffic
from tests.nacos.outage import until_serving_from, until_trouble, until_well
from tests.nacos.world import HOST, rule, until_answered

pytestmark = pytest.mark.outage

_DOCUMENT = "reviews.yaml"
_PASSWORD_VARIABLE = "GRAYPLANE_NACOS__PASSWORD"


@dataclass(frozen=True)
class Refusing:
    """A Nacos that wants a login, and a Grayplane that takes its password from a file."""

    nacos: FakeNacos3
    grayplane: Grayplane
    password_file: Path

    def password(self, password: str) -> None:
        """Write the file."""
        self.password_file.write_text(password)

    def edit(self, version: str) -> None:
        """Have all requests answered by a version."""
        self.nacos.documents[_DOCUMENT] = rule({"v1": 0, "v2": 100}[version])
        about = {"dataId": _DOCUMENT, "group": "GRAY_GROUP", "tenant": "public"}
        self.nacos.push("ConfigChangeNotifyRequest", about)

    async def trouble(self, words: str) -> None:
        """Wait until /ready says it."""
        await until_trouble(self.grayplane, words)

    async def served(self, version: str) -> None:
        """Wait until all requests are answered by a version."""
        async with Client(self.grayplane.edge_port) as client:
            await until_answered(client, version)

    @contextlib.asynccontextmanager
    async def traffic(self) -> AsyncIterator[None]:
        """Requests that all succeed. Everything is well at the end, and a last edit arrives."""
        await self.served("v2")
        async with Traffic(self.grayplane.edge_port, HOST) as traffic:
            yield
            await self.served("v1")
            await until_well(self.grayplane)
            self.edit("v2")
            await self.served("v2")
        assert traffic.failed == {}
        assert traffic.answered > 0


@pytest.fixture
async def refusing(tmp_path: Path) -> AsyncIterator[Refusing]:
    async with contextlib.AsyncExitStack() as stack:
        nacos = await stack.enter_async_context(fake_nacos(FakeNacos3))
        nacos.password = "first"
        for version in ("v1", "v2"):
            upstream = await stack.enter_async_context(Upstream("reviews", version))
            nacos.services.setdefault("reviews", []).append(_host(upstream))
        nacos.documents[_DOCUMENT] = rule(100)
        file = tmp_path / "password"
        grayplane = Grayplane(
            tmp_path,
            *("--nacos", nacos.address, "--set", "nacos.username=reader"),
            *("--set", f"nacos.password_file={file}"),
            environment={"GRAYPLANE_NACOS__STATUS_GROUP": ""},
        )
        world = Refusing(nacos, grayplane, file)
        world.password("first")
        stack.push_async_exit(grayplane)
        yield world


def _host(upstream: Upstream) -> dict[str, Any]:
    return {"ip": "127.0.0.1", "port": upstream.port, "metadata": {"version": upstream.version}}


async def test_a_wrong_password_at_the_start_is_mended_in_its_file(refusing: Refusing) -> None:
    refusing.password("wrong")
    await refusing.grayplane.launch()
    async with EnvoyProcess(refusing.grayplane.bootstrap("edge"), ready=False):
        await refusing.grayplane.until_logged(lambda entry: "refuses to log in" in entry.get("reason", ""))
        said = await refusing.grayplane.ready()
        assert (said["ready"], said["serving_from"]) == (False, "nothing yet")
        assert (
            f"{refusing.nacos.address} refuses to log in 'reader' (HTTP 403: unknown user!)"
            in said["trouble"]
        )
        refusing.password("first\n")
        async with refusing.traffic():
            refusing.edit("v1")
    assert len(refusing.grayplane.warnings()) == 1


async def test_a_wrong_password_at_a_restart_is_mended_by_another(refusing: Refusing) -> None:
    await refusing.grayplane.start()
    async with EnvoyProcess(refusing.grayplane.bootstrap("edge")), refusing.traffic():
        await refusing.grayplane.stop()
        refusing.password("wrong")
        await refusing.grayplane.launch()
        await refusing.trouble("refuses to log in 'reader'")
        await until_serving_from(refusing.grayplane, "last known good")
        refusing.edit("v1")
        await refusing.grayplane.stop()
        refusing.password("first")
        await refusing.grayplane.start()


async def test_a_password_that_is_changed_while_running(refusing: Refusing) -> None:
    refusing.nacos.token_seconds = 15
    await refusing.grayplane.start()
    async with EnvoyProcess(refusing.grayplane.bootstrap("edge")), refusing.traffic():
        refusing.nacos.password = "second"
        await refusing.trouble("the login of before is good until")
        await refusing.trouble("(HTTP 403: unknown user!); check nacos.username and nacos.password")
        refusing.edit("v1")
        refusing.password("second")
    warnings = refusing.grayplane.warnings()
    assert len(warnings) == len(set(warnings)) <= 2, warnings


async def test_a_token_that_ends_early(refusing: Refusing) -> None:
    await refusing.grayplane.start()
    async with EnvoyProcess(refusing.grayplane.bootstrap("edge")), refusing.traffic():
        logins = len(refusing.nacos.logins)
        refusing.nacos.token = "token-2"
        refusing.edit("v1")
    assert len(refusing.nacos.logins) > logins


async def test_a_permission_that_is_revoked_and_granted_again(refusing: Refusing) -> None:
    await refusing.grayplane.start()
    async with EnvoyProcess(refusing.grayplane.bootstrap("edge")), refusing.traffic():
        refusing.nacos.groups = set()
        refusing.edit("v1")
        await refusing.trouble(
            "does not let 'reader' read documents of group GRAY_GROUP in namespace 'public'"
        )
        await refusing.trouble(
            "does not let 'reader' read services of group DEFAULT_GROUP in namespace 'public'"
        )
        refusing.nacos.groups = None
    warnings = refusing.grayplane.warnings()
    assert len(warnings) == len(set(warnings)) <= 3, warnings


async def test_streams_that_the_server_ends_in_good_order(refusing: Refusing) -> None:
    await refusing.grayplane.start()
    async with EnvoyProcess(refusing.grayplane.bootstrap("edge")), refusing.traffic():
        for version in ("v1", "v2", "v1"):
            refusing.nacos.end_streams()
            refusing.edit(version)  # Nobody is there to be told.
            await refusing.served(version)
    assert refusing.grayplane.warnings() == []
