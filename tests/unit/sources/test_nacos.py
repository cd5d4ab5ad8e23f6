"""The Nacos source against a server that does what a healthy one never does."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.harness import PATIENCE
from tests.harness.fake_nacos import UNREGISTERED, FakeNacos, Json, fake_nacos
from tests.harness.recorder import Recorder, recording
from xds.rules.instance import Instance
from xds.sources.base import InstancesChanged
from xds.sources.nacos import NacosError, NacosSettings, NacosSource, publish_missing, registered


@pytest.fixture
async def nacos() -> AsyncIterator[FakeNacos]:
    async with fake_nacos(FakeNacos) as fake:
        yield fake


def settings(nacos: FakeNacos, **others: Any) -> NacosSettings:
    # The periodic looks are made rare: what is reported in time was not found by chance.
    return NacosSettings(server_addresses=nacos.address, **{"poll": 1000.0, "settle": 0.5} | others)


def host(port: int, **others: Any) -> Json:
    return {"ip": "127.0.0.1", "port": port, "metadata": {}} | others


def changed(data_id: str) -> Json:
    return {"dataId": data_id, "group": "GRAY_GROUP", "tenant": "public"}


async def started(recorder: Recorder) -> None:
    await recorder.until(lambda r: r.synced)


async def test_a_change_during_the_read_is_read_too(nacos: FakeNacos) -> None:
    nacos.documents["a.yaml"] = "n: 0"
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)

        def publish_again(body: Json) -> None:
            # After the answer's content was taken, before it arrives; and no push tells of it.
            nacos.before.clear()
            asyncio.get_running_loop().call_soon(nacos.documents.__setitem__, "a.yaml", "n: 2")

        nacos.before["ConfigQueryRequest"] = publish_again
        nacos.documents["a.yaml"] = "n: 1"
        nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 2")
        assert recorder.history("a.yaml") == [b"n: 0", b"n: 1", b"n: 2"]


async def test_a_change_that_nobody_told_of_is_found(nacos: FakeNacos) -> None:
    nacos.documents["a.yaml"] = "n: 0"
    nacos.services["reviews"] = [host(1)]
    async with recording(NacosSource(settings(nacos, poll=0.05, audit=0.1))) as recorder:
        await started(recorder)
        nacos.documents["a.yaml"] = "n: 1"
        nacos.services["reviews"] = [host(2)]
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 1")
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:2"])


async def test_pages_of_documents_and_services(nacos: FakeNacos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds.sources.nacos.listing._PAGE", 10)
    monkeypatch.setattr("xds.sources.nacos.instances._PAGE", 10)
    nacos.documents = {f"d{number}.yaml": f"n: {number}" for number in range(21)}
    nacos.services = {f"s{number}": [] for number in range(31)}
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        assert len(recorder.documents) == 21
        assert len(recorder.instances) == 31


@pytest.mark.parametrize("discard", ["end", "reset", "forget"])
async def test_a_connection_that_the_server_discards_is_opened_again(nacos: FakeNacos, discard: str) -> None:
    nacos.documents["a.yaml"] = "n: 0"
    nacos.services["reviews"] = [host(1)]
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        if discard == "end":
            nacos.end_streams()
        elif discard == "reset":
            nacos.push("ConnectResetRequest", {"serverIp": "", "serverPort": ""})
        else:
            nacos.before["ConfigQueryRequest"] = lambda body: nacos.instead.clear()
            nacos.instead = dict.fromkeys(("ConfigQueryRequest", "SubscribeServiceRequest"), UNREGISTERED)
            nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
        nacos.documents["a.yaml"] = "n: 1"
        nacos.services["reviews"] = [host(1), host(2)]
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 1")
        if discard != "forget":
            await recorder.until(lambda r: len(r.endpoints("reviews")) == 2)
        nacos.documents["a.yaml"] = "n: 2"
        nacos.push("ConfigChangeNotifyRequest", changed("a.yaml"))
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 2" and r.trouble is None)


async def test_the_server_is_answered(nacos: FakeNacos) -> None:
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        nacos.push("ClientDetectionRequest", {"requestId": "7"})
        # By both connections, that for rules and that for instances.
        await reached(
            lambda: (
                [kind for kind, body, _ in nacos.requests if body.get("requestId") == "7"]
                == ["ClientDetectionResponse"] * 2
            )
        )


async def test_a_document_that_cannot_be_read_holds_up_no_other(nacos: FakeNacos) -> None:
    nacos.documents = {"a.yaml": "n: 0", "big.yaml": "x" * (25 << 20)}
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        assert recorder.documents == {"a.yaml": b"n: 0"}
        assert recorder.trouble is not None
        assert f"big.yaml cannot be read: the answer of {nacos.address} is too large" in recorder.trouble


async def test_a_wrong_password_is_told_and_never_synced(
    nacos: FakeNacos, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    nacos.password = "right-secret"
    nacos.documents["a.yaml"] = "n: 0"
    wrong = settings(nacos, username="reader", password="wrong-secret", poll=0.05)
    async with recording(NacosSource(wrong)) as recorder:
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble == (
            f"{nacos.address} refuses to log in 'reader' (HTTP 403: unknown user!); "
            "check nacos.username and nacos.password"
        )
        await asyncio.sleep(0.2)
        assert not recorder.synced
        assert len(nacos.logins) == 1  # Not one a poll: servers lock out whom they see too often.
    assert "wrong-secret" not in repr(wrong) + caplog.text + "".join(capfd.readouterr())


async def test_a_login_is_used_everywhere_and_renewed_when_refused(
    nacos: FakeNacos, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("xds.sources.nacos.credentials._REFUSED_RETRY", 0.0)
    nacos.password = "right-secret"
    nacos.documents["a.yaml"] = "n: 0"
    nacos.services["reviews"] = [host(1)]
    user = settings(nacos, username="reader", password="right-secret", poll=0.05)
    async with recording(NacosSource(user)) as recorder:
        await started(recorder)
        assert recorder.documents
        assert recorder.instances
        assert nacos.logins == [{"username": "reader", "password": "right-secret", "query": ""}]
        nacos.token = "token-2"  # As after a restart with another key.
        nacos.documents["a.yaml"] = "n: 1"
        await recorder.until(lambda r: r.documents["a.yaml"] == b"n: 1" and r.trouble is None)
    assert "right-secret" not in caplog.text
    assert "token-" not in caplog.text


async def test_no_permission_is_told(nacos: FakeNacos) -> None:
    nacos.password = "secret"
    async with recording(NacosSource(settings(nacos))) as recorder:
        await recorder.until(lambda r: r.trouble and "list group" in r.trouble)
        assert recorder.trouble is not None
        assert (
            "refuses to list group GRAY_GROUP of namespace 'public' (HTTP 403: user not found!)"
            in recorder.trouble
        )
        assert "set nacos.username and nacos.password" in recorder.trouble


async def test_access_keys_sign_requests(nacos: FakeNacos) -> None:
    keys = settings(nacos, access_key="key", secret_key="s3cret", namespace="dev")
    nacos.documents["a.yaml"] = "n: 0"
    nacos.services["reviews"] = []
    async with recording(NacosSource(keys)) as recorder:
        await started(recorder)
    headers = {kind: headers for kind, _, headers in nacos.requests}
    assert headers["ConfigQueryRequest"]["Spas-AccessKey"] == "key"
    assert {"Timestamp", "Spas-Signature"} <= headers["ConfigQueryRequest"].keys()
    assert headers["SubscribeServiceRequest"]["data"].endswith("@@DEFAULT_GROUP@@reviews")
    assert headers["SubscribeServiceRequest"]["ak"] == "key"


async def test_publishing_to_nobody(nacos: FakeNacos) -> None:
    host_, port = nacos.address.split(":")
    nowhere = NacosSettings(server_addresses=f"{host_}:{int(port) + 1}", request_timeout=0.3)
    with pytest.raises(NacosError, match=r"cannot be reached on its gRPC port \d+: .*"):
        await publish_missing(nowhere, {"a.yaml": "n: 0"})


async def test_what_nacos_says_of_instances(nacos: FakeNacos) -> None:
    nacos.services["reviews"] = [
        host(3, healthy=False),
        host(2, enabled=False, weight=2.5, metadata={"version": "v1", "nothing": None}),
        host(1, clusterName="a", healthy=False),
        host(1, clusterName="b", healthy=True),
        host(0),
        host(4, weight=20000),
    ]
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        assert recorder.instances["reviews"] == (
            Instance("127.0.0.1", 1),
            Instance("127.0.0.1", 2, 2.5, healthy=False, metadata={"version": "v1"}),
            Instance("127.0.0.1", 3, healthy=False),
        )
        assert recorder.trouble == (
            "service reviews: not routed to: port 0 is not between 1 and 65535; "
            "weight 20000 is not between 0 and 10000"
        )


async def test_an_answer_that_is_pushed_too_starts_no_circle(nacos: FakeNacos) -> None:
    nacos.services["reviews"] = [host(1)]
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        nacos.services["reviews"] = [host(2)]
        nacos.push(
            "NotifySubscriberRequest", {"serviceInfo": {"name": "reviews", "groupName": "DEFAULT_GROUP"}}
        )
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:2"])
        assert [kind for kind, _, _ in nacos.requests].count("SubscribeServiceRequest") == 1


def restart_with(nacos: FakeNacos, services: dict[str, list[Json]]) -> None:
    """Discard all connections; the next ones find these services."""

    def forget(body: Json) -> None:
        if body["labels"]["module"] == "naming":
            nacos.services = services

    nacos.before["ConnectionSetupRequest"] = forget
    nacos.end_streams()


async def test_a_registry_that_forgot_its_instances_is_not_believed(nacos: FakeNacos) -> None:
    nacos.services = {"reviews": [host(1), host(2)], "ratings": [host(3)]}
    async with recording(NacosSource(settings(nacos, poll=0.05, audit=0.05, settle=1000.0))) as recorder:
        await started(recorder)
        restart_with(nacos, {})
        await recorder.until(
            lambda r: r.trouble and "without any service in group DEFAULT_GROUP" in r.trouble
        )
        nacos.services["reviews"] = [host(2, weight=5)]
        await recorder.until(lambda r: r.trouble is None)
        nacos.services["later"] = [host(4)]
        await recorder.until(lambda r: "later" in r.instances)
        await recorder.until(lambda r: r.instances["reviews"][1].weight == 5)
        assert recorder.endpoints("reviews") == ["127.0.0.1:1", "127.0.0.1:2"]
        assert recorder.endpoints("ratings") == ["127.0.0.1:3"]
        changes = [event for event in recorder.events if isinstance(event, InstancesChanged)]
        assert all(event.instances for event in changes)


async def test_what_did_not_register_again_is_gone_in_the_end(nacos: FakeNacos) -> None:
    nacos.services = {"reviews": [host(1), host(2)], "ratings": [host(3)]}
    async with recording(NacosSource(settings(nacos, poll=0.05, settle=0.3))) as recorder:
        await started(recorder)
        restart_with(nacos, {"reviews": [host(2)]})
        await recorder.until(
            lambda r: r.endpoints("reviews") == ["127.0.0.1:2"] and "ratings" not in r.instances
        )


async def test_a_connection_lost_in_the_middle_of_everything(nacos: FakeNacos) -> None:
    """Requests under way when the connection is closed must fail, not end what asked them."""
    nacos.documents = {f"d{number}.yaml": "n: 0" for number in range(20)}
    nacos.services = {f"s{number}": [host(1)] for number in range(20)}
    async with recording(NacosSource(settings(nacos, poll=0.001, audit=0.001))) as recorder:
        await started(recorder)
        for round_ in range(1, 11):
            nacos.end_streams()
            nacos.documents = dict.fromkeys(nacos.documents, f"n: {round_}")
            nacos.services = {service: [host(round_)] for service in nacos.services}
            expected = f"n: {round_}".encode()
            await recorder.until(lambda r, e=expected: set(r.documents.values()) == {e})  # type: ignore[misc]
        await recorder.until(
            lambda r: all(f"127.0.0.1:{10}" in r.endpoints(service) for service in nacos.services)
        )


async def test_a_registration_is_kept_through_refusals_and_reconnects(nacos: FakeNacos) -> None:
    told: list[str | None] = []
    nacos.instead["InstanceRequest"] = {"resultCode": 500, "errorCode": 500, "message": "not now"}
    async with registered(settings(nacos), "reviews", Instance("127.0.0.1", 1), told.append):
        await reached(lambda: f"{nacos.address} answers 500: not now" in told)
        nacos.instead.clear()
        await reached(lambda: nacos.registrations == ["registerInstance"])
        nacos.end_streams()
        await reached(lambda: nacos.registrations == ["registerInstance"] * 2)
    assert nacos.registrations[2:] == ["deregisterInstance"]


async def reached(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_lost_connections_leave_nothing_behind(nacos: FakeNacos) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    nacos.documents["a.yaml"] = "n: 0"
    async with recording(NacosSource(settings(nacos))) as recorder:
        await started(recorder)
        for number in range(1, 4):
            nacos.end_streams()
            nacos.documents["a.yaml"] = f"n: {number}"
            expected = nacos.documents["a.yaml"].encode()
            await recorder.until(lambda r, e=expected: r.documents["a.yaml"] == e)  # type: ignore[misc]
    gc.collect()  # Tasks that nobody waits for complain when they are collected.
    await asyncio.sleep(0)
    assert complaints == []
