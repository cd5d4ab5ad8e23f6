"""Rule documents from a real Nacos."""

import asyncio
import uuid

from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import Console, console
from tests.harness.recorder import recording
from xds.sources.nacos import NacosSettings, NacosSource, publish_missing


async def test_a_document_is_published_changed_and_deleted(
    operator: Console, settings: NacosSettings
) -> None:
    await operator.publish("reviews.yaml", "service: reviews # 价格")
    async with recording(NacosSource(settings)) as recorder:
        await recorder.until(lambda r: r.synced)
        assert recorder.documents == {"reviews.yaml": "service: reviews # 价格".encode()}
        await operator.publish("reviews.yaml", "service: reviews\nenabled: false")
        await recorder.until(lambda r: b"enabled" in r.documents["reviews.yaml"])
        await operator.delete("reviews.yaml")
        await recorder.until(lambda r: not r.documents)
        await operator.publish("reviews.yaml", "service: reviews")
        await recorder.until(lambda r: r.documents == {"reviews.yaml": b"service: reviews"})
        assert len(recorder.history("reviews.yaml")) == 4
        assert recorder.trouble is None


async def test_a_new_document_is_found_and_then_listened_to(
    operator: Console, settings: NacosSettings
) -> None:
    async with recording(NacosSource(settings)) as recorder:
        await recorder.until(lambda r: r.synced)
        assert recorder.documents == {}
        await operator.publish("new.yaml", "a: 1")
        await recorder.until(lambda r: r.documents == {"new.yaml": b"a: 1"})
        await operator.publish("new.yaml", "a: 2")
        await recorder.until(lambda r: r.documents == {"new.yaml": b"a: 2"})


async def test_only_the_group_and_the_namespace_count(
    nacos: NacosServer, operator: Console, settings: NacosSettings
) -> None:
    async with console(nacos, f"other-{uuid.uuid4().hex[:12]}") as elsewhere:
        await elsewhere.publish("reviews.yaml", "elsewhere: true")
        await operator.publish("reviews.yaml", "status: true", group="GRAY_STATUS")
        await operator.publish("similar.yaml", "similar: true", group="GRAYXGROUP")
        await operator.publish("ours.yaml", "ours: true")
        async with recording(NacosSource(settings)) as recorder:
            await recorder.until(lambda r: r.synced)
            await elsewhere.publish("ours.yaml", "elsewhere: true")
            await operator.publish("ours.yaml", "ours: still")
            await recorder.until(lambda r: r.documents == {"ours.yaml": b"ours: still"})
            assert recorder.history("ours.yaml") == [b"ours: true", b"ours: still"]


async def test_a_burst_ends_with_the_last(operator: Console, settings: NacosSettings) -> None:
    await operator.publish("reviews.yaml", "n: 0")
    async with recording(NacosSource(settings)) as recorder:
        await recorder.until(lambda r: r.synced)
        for number in range(1, 41):
            await operator.publish("reviews.yaml", f"n: {number}")
            await asyncio.sleep(0.002)
        await recorder.until(lambda r: r.documents["reviews.yaml"] == b"n: 40")


async def test_two_quick_edits_of_many_documents(operator: Console, settings: NacosSettings) -> None:
    names = [f"s{number}.yaml" for number in range(20)]
    async with recording(NacosSource(settings)) as recorder:
        for round_ in (b"n: 1", b"n: 2", b"n: 1"):
            await asyncio.gather(*(operator.publish(name, round_.decode()) for name in names))
        await recorder.until(lambda r: r.synced)
        await recorder.until(lambda r: r.documents == dict.fromkeys(names, b"n: 1"))
        await asyncio.gather(*(operator.publish(name, "n: 3") for name in names))
        await asyncio.gather(*(operator.publish(name, "n: 4") for name in names))
        await recorder.until(lambda r: r.documents == dict.fromkeys(names, b"n: 4"))


async def test_more_documents_than_a_page(operator: Console, settings: NacosSettings) -> None:
    expected = {f"s{number}.yaml": b"n: %d" % number for number in range(250)}
    for data_id, content in expected.items():
        await operator.publish(data_id, content.decode())
    async with recording(NacosSource(settings)) as recorder:
        await recorder.until(lambda r: r.synced)
        assert recorder.documents == expected
        await operator.publish("s249.yaml", "changed: true")
        await recorder.until(lambda r: r.documents["s249.yaml"] == b"changed: true")


async def test_publishing_what_is_missing(operator: Console, settings: NacosSettings) -> None:
    await operator.publish("reviews.yaml", "mine: true")
    documents = {"reviews.yaml": "example: true", "ratings.yaml": "example: true # 例"}
    assert await publish_missing(settings, documents) == ("ratings.yaml",)
    assert await publish_missing(settings, documents) == ()
    async with recording(NacosSource(settings)) as recorder:
        await recorder.until(lambda r: r.synced)
        assert recorder.documents == {
            "reviews.yaml": b"mine: true",
            "ratings.yaml": "example: true # 例".encode(),
        }
