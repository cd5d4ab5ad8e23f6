"""Encrypted configurations: never read as text without a plug-in, and with one read by it."""

import base64
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.harness.fake_nacos import FakeNacos, fake_nacos
from tests.harness.recorder import recording
from xds.documents import stem_of
from xds.rules.parse import parse
from xds.settings import InvalidSettingsError, flag, load
from xds.sources.nacos import NacosSettings, NacosSource
from xds.sources.nacos.decryption import load as load_plugin

DOCUMENT = "cipher-aesgcm-reviews.yaml"
DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example of the documentation, with a master key."""
    key = tmp_path / "master.key"
    key.write_bytes(base64.b64encode(bytes(range(16))))
    monkeypatch.setenv("MASTER_KEY_FILE", str(key))
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("example_decryption")


def settings(nacos: FakeNacos) -> NacosSettings:
    decrypt = load_plugin("example_decryption:decrypt")
    return NacosSettings(server_addresses=nacos.address, poll=0.1, decrypt=decrypt)


def publish(nacos: FakeNacos, plugin: ModuleType, text: str) -> None:
    nacos.data_keys[DOCUMENT], nacos.documents[DOCUMENT] = plugin.encrypt(text)


async def test_what_the_plugin_makes_of_a_document_is_read(plugin: ModuleType) -> None:
    async with fake_nacos(FakeNacos) as nacos:
        publish(nacos, plugin, "baseline: a")
        async with recording(NacosSource(settings(nacos))) as recorder:
            await recorder.until(lambda r: r.documents == {DOCUMENT: b"baseline: a"})
            publish(nacos, plugin, "baseline: b")
            await recorder.until(lambda r: r.documents == {DOCUMENT: b"baseline: b"})
            assert recorder.trouble is None


async def test_why_a_document_cannot_be_decrypted_is_said_where_its_problems_are(plugin: ModuleType) -> None:
    async with fake_nacos(FakeNacos) as nacos:
        publish(nacos, plugin, "baseline: a")
        right = nacos.data_keys[DOCUMENT]
        nacos.data_keys[DOCUMENT] = plugin._sealed(bytes(16), bytes(16))
        async with recording(NacosSource(settings(nacos))) as recorder:
            await recorder.until(lambda r: r.synced)
            reason = "it cannot be decrypted: it was encrypted with another key, or changed since"
            assert recorder.trouble == f"{DOCUMENT}: {reason}"
            [problem] = parse(DOCUMENT, recorder.documents[DOCUMENT]).problems
            assert (problem.line, problem.column, problem.message) == (1, 1, reason)
            # Without an edit: what failed is tried again at each look.
            nacos.data_keys[DOCUMENT] = right
            await recorder.until(lambda r: r.documents == {DOCUMENT: b"baseline: a"} and r.trouble is None)


async def test_a_plugin_that_returns_no_text_is_told(plugin: ModuleType) -> None:
    async with fake_nacos(FakeNacos) as nacos:
        publish(nacos, plugin, "baseline: a")
        broken = NacosSettings(server_addresses=nacos.address, decrypt=lambda *_: None)  # type: ignore[arg-type]  # a plug-in's mistake
        async with recording(NacosSource(broken)) as recorder:
            await recorder.until(lambda r: r.synced)
            assert recorder.trouble is not None
            assert "the plug-in returned NoneType, not text" in recorder.trouble


def test_an_encrypted_document_is_for_the_service_that_the_rest_of_its_name_says() -> None:
    assert stem_of(DOCUMENT) == "reviews"
    assert stem_of("cipher-aes-vip.list") == "vip"
    assert stem_of("cipher.yaml") == "cipher"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nothing", "'nothing' is not module:function"),
        ("no_such_module:decrypt", "no_such_module cannot be imported"),
        ("math:decrypt", "module math has no function decrypt"),
    ],
)
def test_a_plugin_that_is_not_there_is_told_at_the_start(name: str, problem: str) -> None:
    with pytest.raises(InvalidSettingsError, match=f"nacos.decryption.*{problem}"):
        load(None, [flag("nacos.decryption", name, "--set nacos.decryption")])
