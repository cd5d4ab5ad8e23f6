import asyncio
import signal
import socket
from pathlib import Path

import pytest

from tests.harness.demo import UP, Demo

HOST = "reviews.example.com"
CANARY = [("x-release", "canary")]


async def versions(demo: Demo, users: int) -> list[str]:
    """Ask once for each of so many users, and return the versions that answered."""
    async with demo.client() as client:
        answers = [await client.get(HOST, headers=[("x-user-id", f"user-{n}")]) for n in range(users)]
    assert {answer.status for answer in answers} == {200}
    return [answer.json()["version"] for answer in answers]


async def until_gray(demo: Demo, low: int, high: int) -> None:
    """Return when so many of 1,000 users reach v2."""
    while not low <= (await versions(demo, 1000)).count("v2") <= high:
        await asyncio.sleep(0.05)


async def test_a_user_tries_everything(tmp_path: Path) -> None:
    async with Demo(tmp_path) as demo:
        await demo.until_printed(UP)
        async with demo.client() as client:
            answer = (await client.get(HOST)).json()
            assert answer["service"] == "reviews"
            assert {(await client.get(HOST, headers=CANARY)).json()["version"] for _ in range(20)} == {"v2"}
            assert (await client.get("ratings.example.com")).json()["service"] == "ratings"
            assert (await client.get("unknown.example.com")).status == 404

        # 50 of 1,000 expected; five standard deviations are 35.
        first = await versions(demo, 1000)
        assert 15 <= first.count("v2") <= 85
        assert await versions(demo, 1000) == first
        await demo.until_printed("reviews ramp, last 10 s: gray v2")
        await demo.until_printed("no such host unknown.example.com")

        rule = demo.rules / "reviews.yaml"
        text = rule.read_text(encoding="utf-8")
        even = text.replace("weight: 95", "weight: 50").replace("weight: 5}", "weight: 50}")
        rule.write_text(even, encoding="utf-8")
        await until_gray(demo, 421, 579)

        printed = len(demo.output)
        rule.write_text(even.replace("route:", "rout:"), encoding="utf-8")
        await demo.until_printed("rout: unknown field (did you mean route?)", since=printed)
        line = even[: even.index("route:")].count("\n") + 1
        assert f"reviews.yaml:{line}:" in demo.output[printed:]
        assert 421 <= (await versions(demo, 1000)).count("v2") <= 579

        rule.write_text(text, encoding="utf-8")
        await until_gray(demo, 15, 85)

        demo.process.send_signal(signal.SIGINT)
        assert await demo.ended() == 0
        await demo.nothing_left()
        assert demo.output.endswith("Stopped.\n")


async def test_on_a_terminal_the_split_is_a_live_table(tmp_path: Path) -> None:
    async with Demo(tmp_path, terminal=True) as demo:
        await demo.until_printed(UP)
        await demo.until_printed("no requests yet")
        await versions(demo, 50)
        await demo.until_printed("share of the rule")
        await demo.until_printed("ramp")
        demo.process.send_signal(signal.SIGTERM)
        assert await demo.ended() == 0
        await demo.nothing_left()


async def test_a_process_that_dies_ends_it_all_and_is_named(tmp_path: Path) -> None:
    async with Demo(tmp_path) as demo:
        await demo.until_printed(UP)
        [envoy] = [process for process in demo.descendants() if process.name() == "envoy"]
        envoy.kill()
        assert await demo.ended() == 1
        await demo.nothing_left()
        assert "grayplane: envoy ended by SIGKILL; the end of its log, " in demo.output


async def test_killing_it_leaves_no_process_behind(tmp_path: Path) -> None:
    async with Demo(tmp_path) as demo:
        await demo.until_printed(UP)
        assert len(demo.descendants()) == 5
        demo.process.kill()
        await demo.ended()
        await demo.nothing_left()


async def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    with socket.create_server(("127.0.0.1", demo.edge_port)):
        async with demo:
            assert await demo.ended() == 1
    [line, hint] = demo.output.splitlines()
    assert line.startswith(f"grayplane: edge port {demo.edge_port} is taken by ")
    assert "other ports" in hint
    assert not demo.rules.exists()


@pytest.mark.parametrize("nacos", ["nonsense", "127.0.0.1:1"])
async def test_a_nacos_that_is_not_there_is_told(tmp_path: Path, nacos: str) -> None:
    async with Demo(tmp_path, "--nacos", nacos) as demo:
        assert await demo.ended() in {1, 2}
        [line] = demo.output.splitlines()
    assert line.startswith("grayplane: ")
    assert nacos in line
