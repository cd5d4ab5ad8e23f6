import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

from xds.demo.follow import follow


async def take(lines: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(lines) for _ in range(count)]


def append(file: Path, content: bytes) -> None:
    with file.open("ab") as appended:
        appended.write(content)


async def test_lines_come_as_they_are_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    async with aclosing(follow(file)) as lines:
        append(file, b"one\ntwo\nthr")
        assert await take(lines, 2) == [b"one", b"two"]
        append(file, b"ee\nfour\n")
        assert await take(lines, 2) == [b"three", b"four"]


async def test_the_file_may_come_later(tmp_path: Path) -> None:
    file = tmp_path / "log"
    async with aclosing(follow(file)) as lines:
        first = asyncio.ensure_future(cast("asyncio.Future[bytes]", anext(lines)))
        await asyncio.sleep(0)
        append(file, b"one\n")
        assert await first == b"one"


async def test_a_large_file_is_emptied_and_followed_on(tmp_path: Path) -> None:
    file = tmp_path / "log"
    async with aclosing(follow(file, limit=10)) as lines:
        append(file, b"0123456789\n")
        assert await take(lines, 1) == [b"0123456789"]
        following = asyncio.ensure_future(cast("asyncio.Future[bytes]", anext(lines)))
        while file.stat().st_size:
            await asyncio.sleep(0.01)
        append(file, b"more\n")
        assert await following == b"more"
