"""Passwords that change and logins that end, against a server that has accounts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import PATIENCE
from tests.harness.fake_nacos import FakeNacos, fake_nacos
from tests.harness.recorder import recording
from xds.sources.base import Trouble
from xds.sources.nacos import NacosSettings, NacosSource


@pytest.fixture
async def nacos() -> AsyncIterator[FakeNacos]:
    async with fake_nacos(FakeNacos) as fake:
        fake.password = "first"
        fake.documents["a.yaml"] = "n: 0"
        yield fake


class PasswordFile:
    """The file that a password is in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("first\n")

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def remove(self) -> None:
        self.path.unlink()


@pytest.fixture
def password(tmp_path: Path) -> PasswordFile:
    return PasswordFile(tmp_path / "password")


def settings(nacos: FakeNacos, password: PasswordFile, **others: Any) -> NacosSettings:
    return NacosSettings(
        server_addresses=nacos.address,
        username="reader",
        password_file=password.path,
        **{"poll": 0.05, "settle": 0.5} | others,
    )


async def test_a_password_file_that_is_mended_is_used_at_once(
    nacos: FakeNacos, password: PasswordFile
) -> None:
    password.write("wrong")
    async with recording(NacosSource(settings(nacos, password))) as recorder:
        await recorder.until(lambda r: r.trouble and "refuses to log in 'reader'" in r.trouble)
        # The next login with the same password would be after 5 s, then less and less often.
        logins = len(nacos.logins)
        password.write("first\n")
        await recorder.until(lambda r: r.synced and r.trouble is None)
        assert [login["password"] for login in nacos.logins[logins:]] == ["first"]


async def test_a_password_file_that_is_gone_is_told(nacos: FakeNacos, password: PasswordFile) -> None:
    password.remove()
    async with recording(NacosSource(settings(nacos, password))) as recorder:
        told = f"nacos.password_file {password.path} cannot be read: no such file or directory"
        await recorder.until(lambda r: r.trouble == told)
        password.write("first")
        await recorder.until(lambda r: r.synced and r.trouble is None)


async def test_a_refused_renewal_is_told_while_the_login_of_before_is_good(
    nacos: FakeNacos, password: PasswordFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xds.sources.nacos.credentials._REFRESH_AT", 0.0001)
    monkeypatch.setattr("xds.sources.nacos.credentials._REFUSED_RETRY", 0.1)
    nacos.token_seconds = 1000
    async with recording(NacosSource(settings(nacos, password))) as recorder:
        await recorder.until(lambda r: r.synced)
        nacos.password = "second"
        await recorder.until(lambda r: r.trouble and "the login of before is good until" in r.trouble)
        logins = len(nacos.logins)
        nacos.documents["a.yaml"] = "n: 1"
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 1")
        async with asyncio.timeout(PATIENCE):  # a login is no event
            while len(nacos.logins) == logins:
                await asyncio.sleep(0.02)
        told = {event.reason for event in recorder.events if isinstance(event, Trouble) and event.reason}
        assert len(told) == 1
        password.write("second")
        await recorder.until(lambda r: r.trouble is None)


async def test_updates_of_services_that_no_push_told_of_are_counted(
    nacos: FakeNacos, password: PasswordFile
) -> None:
    nacos.services["reviews"] = [{"ip": "127.0.0.1", "port": 1, "metadata": {}}]
    source = NacosSource(settings(nacos, password, audit=0.1))
    async with recording(source) as recorder:
        await recorder.until(lambda r: r.synced)
        async with asyncio.timeout(PATIENCE):  # The fake pushes what it answers to a subscription.
            while [kind for kind, *_ in nacos.requests].count("ServiceQueryRequest") < 3:
                await asyncio.sleep(0.02)
        nacos.services["reviews"] = [{"ip": "127.0.0.1", "port": 2, "metadata": {}}]
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:2"])
        async with asyncio.timeout(PATIENCE):
            while source.status().repaired != 1:
                await asyncio.sleep(0.02)
