import asyncio
import signal
from pathlib import Path

from tests.harness.demo import UP, Demo
from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import Console

HOST = "reviews.example.com"
OWN_RATINGS = "hosts: [ratings.example.com]\nsubsets: {all: {labels: {version: v1}}}\nbaseline: all\n"


async def version(demo: Demo, host: str, *headers: tuple[str, str]) -> str | int:
    """Ask once; return the version that answered, or the status if none did."""
    async with demo.client() as client:
        answer = await client.get(host, headers=headers)
    return str(answer.json()["version"]) if answer.status == 200 else answer.status


async def until_version(demo: Demo, expected: str | int, host: str, *headers: tuple[str, str]) -> None:
    while await version(demo, host, *headers) != expected:
        await asyncio.sleep(0.05)


async def test_rules_and_instances_in_a_nacos_that_is_there(
    tmp_path: Path, nacos: NacosServer, operator: Console
) -> None:
    await operator.publish("ratings.yaml", OWN_RATINGS)
    canary = ("x-release", "canary")
    async with Demo(
        tmp_path, "--nacos", nacos.address, environment=nacos.environment(operator.namespace)
    ) as demo:
        await demo.until_printed("Published to GRAY_GROUP: reviews.yaml.")
        assert "left as they are: ratings.yaml." in demo.output
        await demo.until_printed(UP)
        await until_version(demo, "v2", HOST, canary)
        await until_version(demo, "v1", "ratings.example.com")

        rules = (Path(__file__).parents[2] / "config" / "rules" / "reviews.yaml").read_text(encoding="utf-8")
        await operator.publish("reviews.yaml", rules + "\nenabled: false\n")
        await until_version(demo, "v1", HOST, canary)
        await operator.publish("reviews.yaml", rules)
        await until_version(demo, "v2", HOST, canary)

        await operator.delete("reviews.yaml")
        await until_version(demo, 404, HOST)
        assert await version(demo, "ratings.example.com") == "v1"

        demo.process.send_signal(signal.SIGTERM)
        assert await demo.ended() == 0
        await demo.nothing_left()
