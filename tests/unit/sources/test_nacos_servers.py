"""The Nacos source against what official Nacos servers were seen to do."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness import PATIENCE
from tests.harness.fake_nacos import FORBIDDEN, FakeNacos, FakeNacos3, fake_nacos
from tests.harness.recorder import Recorder, recording
from xds.sources.nacos import NacosSettings, NacosSource


@pytest.fixture
async def nacos() -> AsyncIterator[FakeNacos]:
    async with fake_nacos(FakeNacos) as fake:
        yield fake


@pytest.fixture
async def nacos3() -> AsyncIterator[FakeNacos3]:
    async with fake_nacos(FakeNacos3) as fake:
        yield fake


def settings(nacos: FakeNacos, **others: Any) -> NacosSettings:
    # The periodic looks are made rare: what is reported in time was not found by chance.
    return NacosSettings(server_addresses=nacos.address, **{"poll": 1000.0, "settle": 0.5} | others)


def host(port: int, **others: Any) -> dict[str, Any]:
    return {"ip": "127.0.0.1", "port": port, "metadata": {}} | others


def changed(data_id: str) -> dict[str, Any]:
    return {"dataId": data_id, "group": "GRAY_GROUP", "tenant": "public"}


async def started(recorder: Recorder) -> None:
    await recorder.until(lambda r: r.synced)


@pytest.mark.parametrize("kind", [FakeNacos, FakeNacos3])
async def test_the_least_permissions_suffice(kind: type[FakeNacos]) -> None:
    """They do not include a fuzzy watch, which Nacos 3 authorises as one of all groups: the list does it."""
    async with fake_nacos(kind) as nacos:
        nacos.groups = {"GRAY_GROUP", "DEFAULT_GROUP"}
        nacos.password = "secret"
        nacos.documents["a.yaml"] = "n: 0"
        nacos.services["reviews"] = [host(1)]
        user = settings(nacos, username="reader", password="secret", poll=0.2)
        async with recording(NacosSource(user)) as recorder:
            await started(recorder)
            nacos.documents["a.yaml"] = "n: 1"
            nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
            await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 1")
            nacos.documents["new.yaml"] = "n: 0"
            await recorder.until(lambda r: "new.yaml" in r.documents)
            assert recorder.trouble is None


async def test_a_refusal_of_naming_is_told_as_such_and_logged_in_again(
    nacos: FakeNacos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xds.sources.nacos.credentials._REFUSED_RETRY", 0.0)
    nacos.password = "secret"
    nacos.groups = {"GRAY_GROUP"}
    user = settings(nacos, username="reader", password="secret", poll=0.05)
    async with recording(NacosSource(user)) as recorder:
        await recorder.until(
            lambda r: (
                r.trouble
                and "does not let 'reader' read services of group DEFAULT_GROUP in namespace 'public' "
                "(user not found!)"
                in r.trouble
            )
        )
        # The rights of a user may be in the token: it logs in again, though documents may still be read.
        logins = len(nacos.logins)
        async with asyncio.timeout(PATIENCE):
            while len(nacos.logins) == logins:
                await asyncio.sleep(0.01)
        nacos.groups = None
        nacos.token = "token-2"
        await recorder.until(lambda r: r.synced and r.trouble is None)


async def test_a_failed_poll_slows_nothing(nacos: FakeNacos) -> None:
    """After a poll that took long the timer waits ten times as long, but not after one that failed."""
    nacos.documents["a.yaml"] = "n: 0"
    async with recording(NacosSource(settings(nacos, request_timeout=0.5))) as recorder:
        await started(recorder)
        nacos.silent.clear()  # HTTP alone, so that no lost connection hurries the next poll.
        nacos.end_streams()
        await recorder.until(lambda r: r.trouble and "does not answer within 0.5 s" in r.trouble)
        nacos.documents["new.yaml"] = "n: 0"
        nacos.silent.set()
        async with asyncio.timeout(4):  # It was ten times the time-out, at least; and 1000 s between polls.
            await recorder.until(lambda r: "new.yaml" in r.documents and r.trouble is None)


async def test_a_namespace_by_its_name(nacos: FakeNacos) -> None:
    nacos.namespaces = {"": "public", "4f1c": "prod"}
    async with recording(NacosSource(settings(nacos, namespace="prod", poll=0.05))) as recorder:
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble == "nacos.namespace is 'prod', a namespace's name: write its id, '4f1c'"
        assert not recorder.synced
        nacos.namespaces["prod"] = "created"
        await recorder.until(lambda r: r.synced and r.trouble is None)


async def test_a_misspelt_namespace(nacos: FakeNacos) -> None:
    nacos.namespaces = {"": "public", "prod": "Production"}
    async with recording(NacosSource(settings(nacos, namespace="prdo"))) as recorder:
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble == (
            "Nacos has no namespace 'prdo' (nacos.namespace); the ids of those it has are 'prod', 'public'"
        )


async def test_a_namespace_that_nobody_tells_of(nacos: FakeNacos) -> None:
    """As for a user who may not list namespaces: an empty one is served, and the doubt is told."""
    nacos.namespaces = {}
    async with recording(NacosSource(settings(nacos, namespace="prdo", poll=0.05))) as recorder:
        await recorder.until(lambda r: r.synced)
        told = (
            "namespace 'prdo' has no document in group GRAY_GROUP, and which namespaces there are is not "
            "told to 'anonymous': check that nacos.namespace is an id, not a name"
        )
        assert recorder.trouble == told
        nacos.services["later"] = []
        await recorder.until(lambda r: "later" in r.instances)  # Some polls later.
        assert recorder.trouble == told
        nacos.documents["a.yaml"] = "n: 0"
        await recorder.until(lambda r: "a.yaml" in r.documents and r.trouble is None)


async def test_a_proxy_of_the_environment_is_not_for_nacos(
    nacos: FakeNacos, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    nacos.documents["a.yaml"] = "n: 0"
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        assert recorder.documents == {"a.yaml": b"n: 0"}


async def test_a_beta_for_our_address_is_told_and_read_once(nacos: FakeNacos) -> None:
    nacos.documents["a.yaml"] = "n: 0"
    nacos.betas["a.yaml"] = "n: beta"
    async with recording(NacosSource(settings(nacos, poll=0.02))) as recorder:
        await started(recorder)
        assert recorder.documents == {"a.yaml": b"n: beta"}
        assert recorder.trouble == (
            "a.yaml: a beta for this server's address is in force; edits of the formal configuration are "
            "not seen until it ends"
        )
        reads = [kind for kind, _, _ in nacos.requests].count("ConfigQueryRequest")
        nacos.services["later"] = []
        await recorder.until(lambda r: "later" in r.instances)  # Some polls later.
        assert [kind for kind, _, _ in nacos.requests].count("ConfigQueryRequest") == reads
        nacos.betas.clear()
        nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
        await recorder.until(lambda r: r.documents == {"a.yaml": b"n: 0"} and r.trouble is None)


async def test_a_restore_one_by_one_deletes_nothing(nacos: FakeNacos) -> None:
    names = [f"d{number}.yaml" for number in range(8)]
    nacos.documents = dict.fromkeys(names, "n: 0")
    async with recording(NacosSource(settings(nacos, poll=0.05, settle=3.0))) as recorder:
        await started(recorder)
        nacos.documents = {}
        await recorder.until(lambda r: r.trouble and "without any document" in r.trouble)
        for number, name in enumerate(names):
            nacos.documents[name] = "n: 0"
            if number < 3:
                missing = 7 - number
                await recorder.until(
                    lambda r, m=missing: (  # type: ignore[misc]
                        r.trouble
                        and f"{m} of 8 documents of group GRAY_GROUP are missing in Nacos; they count as "
                        "deleted at"
                        in r.trouble
                    )
                )
                await asyncio.sleep(1.3)
        await recorder.until(lambda r: r.trouble is None)
        assert recorder.documents == dict.fromkeys(names, b"n: 0")
        assert all(recorder.history(name) == [b"n: 0"] for name in names)


async def test_a_mass_deletion_is_told_and_accepted_in_the_end(nacos: FakeNacos) -> None:
    nacos.documents = {f"d{number}.yaml": "n: 0" for number in range(8)}
    async with recording(NacosSource(settings(nacos, poll=0.05, settle=0.3))) as recorder:
        await started(recorder)
        nacos.documents = {"d0.yaml": "n: 0"}
        await recorder.until(lambda r: r.trouble and "7 of 8 documents" in r.trouble)
        assert len(recorder.documents) == 8
        await recorder.until(lambda r: list(r.documents) == ["d0.yaml"] and r.trouble is None)


async def test_a_failed_renewal_leaves_the_old_token_in_use(
    nacos: FakeNacos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xds.sources.nacos.credentials._REFRESH_AT", 0.0001)
    monkeypatch.setattr("xds.sources.nacos.credentials._RETRY", 0.1)
    nacos.password = "secret"
    nacos.token_seconds = 1000
    nacos.documents["a.yaml"] = "n: 0"
    user = settings(nacos, username="reader", password="secret", poll=0.05)
    async with recording(NacosSource(user)) as recorder:
        await started(recorder)
        nacos.login_status = 503
        logins = len(nacos.logins)
        while len(nacos.logins) < logins + 2:
            await asyncio.sleep(0.02)
        nacos.documents["a.yaml"] = "n: 1"
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 1")
        assert recorder.trouble is None
        nacos.token = "another"  # The old one is of no use any more: the reason is no wrong password.
        await recorder.until(lambda r: r.trouble and "cannot log in" in r.trouble)
        assert recorder.trouble is not None
        assert f"{nacos.address} cannot log in 'reader' now (HTTP 503: no leader)" in recorder.trouble
        assert "check nacos.username and nacos.password" not in recorder.trouble
        nacos.login_status = 200
        await recorder.until(lambda r: r.trouble is None)


async def test_a_token_of_seconds_does_not_flap(nacos: FakeNacos) -> None:
    nacos.password = "secret"
    nacos.token_seconds = 0.5
    nacos.documents["a.yaml"] = "n: 0"
    user = settings(nacos, username="reader", password="secret", poll=0.02)
    async with recording(NacosSource(user)) as recorder:
        await started(recorder)
        while len(nacos.logins) < 4:
            await asyncio.sleep(0.01)
        assert [event for event in recorder.events if getattr(event, "reason", None)] == []


async def test_a_document_created_again_is_pushed(nacos: FakeNacos) -> None:
    nacos.documents["a.yaml"] = "n: 0"
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        del nacos.documents["a.yaml"]
        nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
        await recorder.until(lambda r: r.documents == {})
        # It goes on being listened to, as one that does not exist.
        while not [
            body
            for kind, body, _ in nacos.requests
            if kind == "ConfigBatchListenRequest"
            and [each["md5"] for each in body["configListenContexts"]] == [""]
        ]:
            await asyncio.sleep(0.01)
        nacos.documents["a.yaml"] = "n: 1"
        nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
        await recorder.until(lambda r: r.documents == {"a.yaml": b"n: 1"})


async def test_names_that_are_no_documents_are_left_alone(nacos: FakeNacos) -> None:
    nacos.documents = dict.fromkeys(["a.yaml", "README.md", "e.properties", "vip.list"], "x")
    nacos.documents["cipher-aes-b.yaml"] = "gibberish"
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        assert sorted(recorder.documents) == ["a.yaml", "vip.list"]
        assert recorder.trouble == (
            "cipher-aes-b.yaml is encrypted and is not read: set nacos.decryption, or store it unencrypted"
        )
        nacos.push("ConfigChangeNotifyRequest", changed("README.md"))
        nacos.documents["a.yaml"] = "y"
        nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
        await recorder.until(lambda r: r.documents["a.yaml"] == b"y")
        assert "README.md" not in recorder.documents


async def test_an_encrypted_document_that_is_gone_is_no_trouble(nacos: FakeNacos) -> None:
    nacos.documents["cipher-aes-b.yaml"] = "gibberish"
    async with recording(NacosSource(settings(nacos, poll=0.05))) as recorder:
        await recorder.until(lambda r: r.trouble and "is encrypted" in r.trouble)
        del nacos.documents["cipher-aes-b.yaml"]
        await recorder.until(lambda r: r.trouble is None)


async def test_new_documents_are_announced_where_the_server_can(nacos3: FakeNacos3) -> None:
    nacos3.documents["a.yaml"] = "n: 0"
    async with recording(NacosSource(settings(nacos3))) as recorder:
        await started(recorder)
        nacos3.documents["b.yaml"] = "n: 0"
        nacos3.announce("b.yaml", "ADD_CONFIG")
        await recorder.until(lambda r: r.documents.get("b.yaml") == b"n: 0")
        nacos3.documents["b.yaml"] = "n: 1"
        nacos3.push("ConfigChangeNotifyRequest", changed("b.yaml"))
        await recorder.until(lambda r: r.documents["b.yaml"] == b"n: 1")
        del nacos3.documents["b.yaml"]
        nacos3.announce("b.yaml", "DELETE_CONFIG")
        await recorder.until(lambda r: "b.yaml" not in r.documents)


async def test_updates_that_no_push_told_of_are_counted(nacos: FakeNacos) -> None:
    nacos.documents["a.yaml"] = "n: 0"
    source = NacosSource(settings(nacos, poll=0.05))
    async with recording(source) as recorder:
        await started(recorder)
        nacos.documents["a.yaml"] = "n: 1"
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 1")
        while source.status().repaired != 1:
            await asyncio.sleep(0.01)
        status = source.status()
        assert (status.servers, status.documents, status.services) == ((nacos.address,), 1, 0)
        assert status.last_reconcile is not None


async def test_several_namespaces_at_once(nacos: FakeNacos, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    nacos.namespaces |= {"dev": "dev", "prod": "prod"}
    nacos.documents["a.yaml"] = "n: 0"
    nacos.services["reviews"] = [host(1)]
    both = [settings(nacos, namespace=namespace) for namespace in ("dev", "prod")]
    async with recording(NacosSource(*both)) as recorder:
        await started(recorder)
        named = {
            getattr(event, "document", None) or getattr(event, "service", None) for event in recorder.events
        }
        assert {("dev", "a.yaml"), ("prod", "a.yaml"), ("dev", "reviews"), ("prod", "reviews")} <= named


async def test_many_instances_lost_at_once_are_kept(nacos: FakeNacos) -> None:
    nacos.services["reviews"] = [host(port) for port in range(1, 11)]
    protected = settings(nacos, poll=0.05, audit=0.05, protect_threshold=0.5)
    async with recording(NacosSource(protected)) as recorder:
        await started(recorder)
        nacos.services["reviews"] = [host(port) for port in range(1, 7)]
        await recorder.until(lambda r: len(r.endpoints("reviews")) == 6)
        nacos.services["reviews"] = [host(1)]
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble == (
            "service reviews lost 5 of 6 instances at once; they are kept until some are back "
            "(nacos.protect_threshold)"
        )
        assert len(recorder.endpoints("reviews")) == 6
        nacos.services["reviews"] = [host(port) for port in range(1, 5)]
        await recorder.until(lambda r: len(r.endpoints("reviews")) == 4 and r.trouble is None)


async def test_odd_instances(nacos: FakeNacos) -> None:
    """A scale to zero, a move from v1 to v2 by an edit of metadata, and metadata that is no text."""
    nacos.services["reviews"] = [host(1, metadata={"version": "v1", "n": 1, "nested": {"a": [1]}})]
    async with recording(NacosSource(settings(nacos, poll=0.05, audit=0.05))) as recorder:
        await started(recorder)
        [instance] = recorder.instances["reviews"]
        assert instance.metadata == {"version": "v1", "n": "1", "nested": "{'a': [1]}"}
        nacos.services["reviews"] = [host(1, metadata={"version": "v2"})]
        await recorder.until(lambda r: [i.metadata for i in r.instances["reviews"]] == [{"version": "v2"}])
        for _ in range(3):
            nacos.services["reviews"] = []
            await recorder.until(lambda r: r.instances["reviews"] == ())
            nacos.services["reviews"] = [host(1)]
            await recorder.until(lambda r: len(r.instances["reviews"]) == 1)


async def test_a_refusal_of_the_rules_names_group_and_namespace(nacos: FakeNacos) -> None:
    nacos.instead["ConfigBatchListenRequest"] = FORBIDDEN
    nacos.documents["a.yaml"] = "n: 0"
    async with recording(NacosSource(settings(nacos, poll=0.05))) as recorder:
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble == (
            f"{nacos.address} does not let 'anonymous' read documents of group GRAY_GROUP in namespace "
            "'public' (user not found!); check nacos.username, nacos.password and what that user may do"
        )
