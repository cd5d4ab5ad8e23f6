"""Follows a growing file of lines, as ``tail -F`` does."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

_PERIOD = 0.1
_CHUNK = 1024 * 1024


async def follow(path: Path, *, limit: int | None = None) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a file that others append to, from its beginning, for ever.

    ``limit`` in bytes: a file that has grown past it is emptied once it has been read. Its writers must
    append (``O_APPEND``), as Envoy does. A line that is being written while that happens is lost.
    """
    position, rest = 0, b""
    while True:
        chunk = await asyncio.to_thread(_read, path, position)
        position += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(chunk) < _CHUNK:
            if limit is not None and position > limit:
                await asyncio.to_thread(os.truncate, path, 0)
                position = 0
            await asyncio.sleep(_PERIOD)


def _read(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(_CHUNK)
    except FileNotFoundError:  # not made yet
        return b""
