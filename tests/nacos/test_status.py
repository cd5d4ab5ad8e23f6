"""A person who sees nothing but Nacos knows what became of an edit."""

import asyncio
from typing import Any, Self

import yaml

from tests.harness.fake_nacos import md5
from tests.harness.grayplane import until
from tests.harness.nacos_console import Console
from tests.nacos.world import World, rule
from xds.documents import DocumentId
from xds.sources.nacos import NacosSettings, StatusDocuments

STATUS = "GRAY_STATUS"


async def until_status(operator: Console, data_id: str, **expected: Any) -> dict[str, Any]:
    """Wait until the status document of a rule document says this."""
    said: dict[str, Any] = {}

    async def holds() -> bool:
        text = await operator.read(data_id, STATUS)
        said.clear()
        said.update(yaml.safe_load(text) if text else {})
        return bool(said) and all(said.get(name) == value for name, value in expected.items())

    await until(holds)
    return said


async def test_an_edit_is_live_is_refused_and_is_gone(world: World) -> None:
    operator = world.operator
    await operator.publish("reviews.yaml", rule(100))
    live = await until_status(operator, "reviews.yaml", state="Programmed")
    assert live["document"] == "reviews.yaml"
    assert live["proxies"] == {"programmed": 1, "of": 1}
    assert live["md5"] == md5(rule(100)), "an author compares it with what the console shows"
    await world.until("v2")

    await operator.publish("reviews.yaml", rule(100).replace("subset: gray", "subset: gry"))
    refused = await until_status(operator, "reviews.yaml", state="Rejected", inForce=live["revision"])
    [problem] = [each for each in refused["problems"] if each["severity"] == "error"]
    assert "gry" in problem["problem"]
    assert problem["line"] > 1
    assert refused["md5"] == md5(rule(100).replace("subset: gray", "subset: gry"))
    await world.until("v2")

    await operator.publish("reviews.yaml", rule(100))
    await until_status(operator, "reviews.yaml", state="Programmed", revision=live["revision"])

    await operator.delete("reviews.yaml")
    await until_gone(operator, "reviews.yaml")


async def test_where_requests_go_is_told(world: World) -> None:
    """The split as it is in force, and why it is another than the document's."""
    operator, v2 = world.operator, world.v2
    await operator.publish("reviews.yaml", rule(5))
    both = {"ramp": {"gray": 5.0, "stable": 95.0}}
    await until_status(operator, "reviews.yaml", state="Programmed", split=both, problems=None)
    await operator.register("reviews", "127.0.0.1", v2.port, {"version": "v2"}, enabled=False)
    told = await until_status(operator, "reviews.yaml", split={"ramp": {"stable": 100.0}})
    [problem] = told["problems"]
    assert problem["severity"] == "warning"
    # Servers differ in whether they tell of instances that are disabled.
    assert "disabled in the registry" in problem["problem"] or "out of service" in problem["problem"]
    await operator.register("reviews", "127.0.0.1", v2.port, {"version": "v2"})
    await until_status(operator, "reviews.yaml", split=both, problems=None)
    await operator.publish("revews.yaml", "hosts: [revews.example.com]\n")
    told = await until_status(operator, "revews.yaml", state="Programmed")
    assert told["problems"][0]["problem"] == "there is no instance of revews: requests fail"


async def test_a_name_that_is_not_read_is_told(world: World) -> None:
    """As the console makes it easy to write one: a dataId has an ending only if its author gives it one."""
    operator = world.operator
    await operator.publish("notes", "a person's", STATUS)
    for name, why in (
        ("reviews", "reviews is not read: the name of a rule document ends in .yaml, .yml or .json"),
        ("cipher-aes-reviews.yaml", "cipher-aes-reviews.yaml is encrypted and is not read"),
    ):
        await operator.publish(name, rule(100))
        told = await until_status(operator, name, state="Ignored")
        assert told["problems"][0]["problem"].startswith(why)
        await operator.delete(name)
        await until_gone(operator, name)
    assert await operator.read("notes", STATUS) == "a person's"
    assert (await world.grayplane.ready())["trouble"] is None


class Replica:
    """The status documents of one replica, whose statuses a test sets."""

    def __init__(self, settings: NacosSettings, statuses: dict[str, dict[str, Any]]) -> None:
        self._changed = {DocumentId("", name) for name in statuses}
        self.statuses = statuses
        self.writer = StatusDocuments(settings, STATUS, self._take, lambda each: self.statuses.get(each.name))

    def becomes(self, name: str, status: dict[str, Any] | None) -> None:
        if status is None:
            del self.statuses[name]
        else:
            self.statuses[name] = status
        self._changed.add(DocumentId("", name))

    def _take(self) -> set[DocumentId]:
        changed, self._changed = self._changed, set()
        return changed

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.writer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])


async def test_one_replica_writes_and_another_takes_over(operator: Console, settings: NacosSettings) -> None:
    await operator.publish("left.yaml", "left: behind", STATUS)
    await operator.publish("notes.txt", "a person's", STATUS)
    replicas = [Replica(settings, {"a.yaml": {"n": number}}) for number in range(2)]
    async with replicas[0], replicas[1]:
        await until_writer(replicas)
        [writer] = [replica for replica in replicas if replica.writer.is_writer]
        other = replicas[1 - replicas.index(writer)]
        await until_status(operator, "a.yaml", n=replicas.index(writer))
        await until_gone(operator, "left.yaml")
        assert await operator.read("notes.txt", STATUS) == "a person's"
        # What a person writes there is written over at the next change.
        await operator.publish("a.yaml", "n: mine", STATUS)
        writer.becomes("a.yaml", {"n": "of the writer"})
        other.becomes("a.yaml", {"n": "of the other"})
        await until_status(operator, "a.yaml", n="of the writer")
        await writer.__aexit__()
        await until_status(operator, "a.yaml", n="of the other")
        other.becomes("a.yaml", None)
        await until_gone(operator, "a.yaml")


async def until_writer(replicas: list[Replica]) -> None:
    async def holds() -> bool:
        return sum(replica.writer.is_writer for replica in replicas) == 1

    await until(holds)
    await asyncio.sleep(4)  # The second to register may have the smaller name.
    await until(holds)


async def until_gone(operator: Console, data_id: str) -> None:
    async def holds() -> bool:
        return await operator.read(data_id, STATUS) is None

    await until(holds)
