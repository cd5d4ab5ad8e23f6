"""Of the services that are registered, Nacos is asked only for those that are to be watched."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.harness import PATIENCE
from tests.harness.fake_nacos import FakeNacos, Json, fake_nacos
from tests.harness.recorder import Recorder, recording
from xds.rules.instance import ServiceId
from xds.sources.base import InstancesChanged, InstancesUnreadable
from xds.sources.nacos import NacosSettings, NacosSource, instances
from xds.sources.watched_services import Needs, WatchedServices

MANY = {f"service-{number:04}": [{"ip": "10.0.0.1", "port": 1, "metadata": {}}] for number in range(1500)}
REVIEWS = Needs("", frozenset({"reviews"}))


class Time:
    """The clock of what is watched."""

    def __init__(self) -> None:
        self.now = 0.0
        self.watched = WatchedServices(linger=10.0, clock=lambda: self.now)


@pytest.fixture
async def nacos() -> AsyncIterator[FakeNacos]:
    async with fake_nacos(FakeNacos) as fake:
        fake.services = {**MANY, "reviews": [host(1)]}
        yield fake


def host(port: int, **others: Any) -> Json:
    return {"ip": "127.0.0.1", "port": port, "metadata": {}} | others


def source(nacos: FakeNacos, watched: WatchedServices, **others: Any) -> NacosSource:
    given = {"poll": 1000.0, "settle": 0.3} | others
    return NacosSource(NacosSettings(server_addresses=nacos.address, **given), watched=watched)


def asked(nacos: FakeNacos) -> list[tuple[str, bool | None]]:
    """The services that were asked about: whether to be told of changes; None: only once."""
    kinds = {"SubscribeServiceRequest", "ServiceQueryRequest"}
    return [(body["serviceName"], body.get("subscribe")) for kind, body, _ in nacos.requests if kind in kinds]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


def last(recorder: Recorder, service: str) -> InstancesChanged | None:
    found = [
        event
        for event in recorder.events
        if isinstance(event, InstancesChanged) and event.service.name == service
    ]
    return found[-1] if found else None


def push(nacos: FakeNacos, service: str) -> None:
    hosts = nacos.services.get(service, [])
    about = {"name": service, "groupName": "DEFAULT_GROUP", "hosts": hosts}
    nacos.push("NotifySubscriberRequest", {"serviceInfo": about})


async def test_one_of_many(nacos: FakeNacos) -> None:
    time = Time()
    it = source(nacos, time.watched, poll=0.05, audit=0.05)
    async with recording(it) as recorder:
        await recorder.until(lambda r: r.synced)
        assert asked(nacos) == []
        assert (it.status().services, it.status().watched) == (1501, 0)
        assert time.watched.is_registered(ServiceId("", "service-0007"))
        time.watched.hold("rule", REVIEWS)
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:1"])
        assert it.status().watched == 1
        # It alone is kept up with, by pushes and by the audit.
        nacos.services["reviews"] = [host(2)]
        push(nacos, "reviews")
        push(nacos, "service-0001")
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:2"])
        await until(lambda: len(asked(nacos)) > 5)
        nacos.end_streams()
        await until(lambda: asked(nacos).count(("reviews", True)) == 2)
        assert {service for service, _ in asked(nacos)} == {"reviews"}
        assert recorder.instances.keys() == {"reviews"}


async def test_what_nobody_needs_any_more_is_let_go_after_a_while(nacos: FakeNacos) -> None:
    time = Time()
    time.watched.hold("view", REVIEWS)
    it = source(nacos, time.watched, poll=0.05)
    async with recording(it) as recorder:
        await recorder.until(lambda r: r.synced)
        time.watched.hold("view", None)
        time.now = 9.0
        nacos.services["reviews"] = [host(2)]
        push(nacos, "reviews")  # it counts as long as the service is watched
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:2"])
        time.watched.hold("view", REVIEWS)
        time.watched.hold("view", None)
        time.now = 18.0
        assert last(recorder, "reviews") == InstancesChanged(
            ServiceId("", "reviews"),
            recorder.instances["reviews"],
            {"DEFAULT_GROUP": recorder.instances["reviews"]},
        )
        assert ("reviews", False) not in asked(nacos)
        time.now = 19.0
        gone = InstancesChanged(ServiceId("", "reviews"), None, complete=False)
        await recorder.until(lambda r: last(r, "reviews") == gone)
        assert asked(nacos)[-1] == ("reviews", False)
        assert it.status().watched == 0
        before = asked(nacos)
        push(nacos, "reviews")
        await asyncio.sleep(0.2)
        assert asked(nacos) == before
        # Needed again it is read at once.
        time.watched.hold("rule", REVIEWS)
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:2"])
        assert asked(nacos)[len(before) :] == [("reviews", True)]


async def test_a_service_that_registers_after_its_rule_is_announced(nacos: FakeNacos) -> None:
    time = Time()
    time.watched.hold("rule", Needs("", frozenset({"later"})))
    async with recording(source(nacos, time.watched)) as recorder:  # without looks
        await recorder.until(lambda r: r.synced)
        assert last(recorder, "later") == InstancesChanged(ServiceId("", "later"), None)
        nacos.services["later"] = [host(1)]
        push(nacos, "later")
        await recorder.until(lambda r: r.endpoints("later") == ["127.0.0.1:1"])


async def test_names_that_do_not_exist_are_no_load(nacos: FakeNacos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "_MOST_AHEAD", 50)
    time = Time()
    async with recording(source(nacos, time.watched, poll=0.05)) as recorder:
        await recorder.until(lambda r: r.synced)
        time.watched.hold("view", Needs("", frozenset(f"nobody-{number:02}" for number in range(90))))
        # Whoever waits for them is told all the same.
        await recorder.until(lambda r: sum(isinstance(each, InstancesChanged) for each in r.events) >= 90)
        nacos.services["nobody-89"] = [host(1)]
        await recorder.until(lambda r: r.endpoints("nobody-89"))
        subscribed = {name for name, on in asked(nacos) if on}
        assert 50 < len(subscribed) < 75  # some are under way at a time


async def test_a_service_without_a_push_of_its_registration_is_found(nacos: FakeNacos) -> None:
    time = Time()
    time.watched.hold("rule", Needs("", frozenset({"later"})))
    async with recording(source(nacos, time.watched, poll=0.05)) as recorder:
        await recorder.until(lambda r: r.synced)
        nacos.services["later"] = []
        await recorder.until(lambda r: r.instances.get("later") == ())
        nacos.services["later"] = [host(1)]
        push(nacos, "later")
        await recorder.until(lambda r: r.endpoints("later") == ["127.0.0.1:1"])
        del nacos.services["later"]
        push(nacos, "later")
        await recorder.until(lambda r: "later" not in r.instances)
        assert last(recorder, "later") == InstancesChanged(ServiceId("", "later"), None)
        assert ("later", False) not in asked(nacos)  # its rule is still there


async def test_everything_for_a_while(nacos: FakeNacos) -> None:
    few = dict(list(MANY.items())[:100])
    nacos.services = {**few, "reviews": [host(1)]}
    time = Time()
    it = source(nacos, time.watched, poll=0.05)
    async with recording(it) as recorder:
        await recorder.until(lambda r: r.synced)
        time.watched.hold("rule", REVIEWS)
        time.watched.hold("view", Needs(""))
        await recorder.until(lambda r: len(r.instances) == 101)
        nacos.services["new"] = [host(3)]
        await recorder.until(lambda r: r.endpoints("new") == ["127.0.0.1:3"])
        del nacos.services["new"]
        push(nacos, "new")
        await recorder.until(lambda r: "new" not in r.instances)
        assert last(recorder, "new") == InstancesChanged(ServiceId("", "new"), None, complete=False)
        # A view that comes and goes asks for nothing again.
        before = len(asked(nacos))
        for _ in range(20):
            time.watched.hold("view", None)
            time.now += 0.1
            time.watched.hold("view", Needs(""))
        await asyncio.sleep(0.2)
        assert len([each for each in asked(nacos)[before:] if each[1] is not None]) == 0
        time.watched.hold("view", None)
        time.now += 10.0
        await recorder.until(lambda r: r.instances.keys() == {"reviews"})
        await until(lambda: it.status().watched == 1)
        assert asked(nacos).count(("reviews", False)) == 0
        assert {name for name, on in asked(nacos) if on is False} == {*few, "new"}


async def test_needed_ones_come_before_thousands(nacos: FakeNacos) -> None:
    time = Time()
    async with recording(source(nacos, time.watched)) as recorder:
        await recorder.until(lambda r: r.synced)
        time.watched.hold("view", Needs(""))
        await until(lambda: asked(nacos))
        # In the order of their names it would be one of the last.
        time.watched.hold("rule", Needs("", frozenset({"service-1400"})))
        await recorder.until(lambda r: r.endpoints("service-1400"))
        assert len(recorder.instances) < 500


async def test_a_service_that_cannot_be_read_keeps_nobody_waiting(nacos: FakeNacos) -> None:
    time = Time()
    nacos.instead["SubscribeServiceRequest"] = {"resultCode": 500, "errorCode": 500, "message": "broken"}
    time.watched.hold("rule", REVIEWS)
    async with recording(source(nacos, time.watched, poll=0.05)) as recorder:
        await recorder.until(lambda r: r.synced)
        assert InstancesUnreadable(ServiceId("", "reviews")) in recorder.events
        assert recorder.trouble
        assert "service reviews cannot be read" in recorder.trouble
        del nacos.instead["SubscribeServiceRequest"]
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:1"] and r.trouble is None)


async def test_back_with_nothing_is_not_believed_of_what_is_watched(nacos: FakeNacos) -> None:
    time = Time()
    time.watched.hold("rule", REVIEWS)
    async with recording(source(nacos, time.watched, poll=0.05)) as recorder:
        await recorder.until(lambda r: r.synced)
        kept = dict(nacos.services)
        nacos.services.clear()
        nacos.end_streams()
        await recorder.until(lambda r: r.trouble and "came back without any service" in r.trouble)
        nacos.services["other"] = [host(7)]
        await recorder.until(lambda r: r.trouble is None)
        assert recorder.endpoints("reviews") == ["127.0.0.1:1"]
        nacos.services = kept
        nacos.services["reviews"] = [host(2)]
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:2"])
