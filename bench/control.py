"""What our servers under test have in common: they say where they listen, and are edited through a port.

The first line printed is the xDS port and the control port. The control port takes lines:

    edit NUMBER      make this edit; answers "done" once it is in the cache, or on its way there
    profile          begin a profile of the event loop; answers "done"
    profiled FILE    end it and write it; answers "done"

A server ends with its standard input, so that none outlives the bench.
"""

import asyncio
import cProfile
import sys
from collections.abc import Callable
from typing import Protocol


class Listening(Protocol):
    """What a server under test can do."""

    async def start(self, address: str, port: int) -> int:
        """Listen; return the port."""
        ...

    async def stop(self, grace: float) -> None:
        """Close all streams."""
        ...


async def serve(server: Listening, edit: Callable[[int], None]) -> None:
    """Listen until standard input ends."""
    port = await server.start("127.0.0.1", 0)
    control = await asyncio.start_server(_Control(edit).talk, "127.0.0.1", 0)
    print(port, control.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    control.close()
    await server.stop(0)


class _Control:
    def __init__(self, edit: Callable[[int], None]) -> None:
        self._edit = edit
        self._profile = cProfile.Profile()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode():
            match line.split():
                case ["edit", number]:
                    self._edit(int(number))
                case ["profile"]:
                    self._profile.enable()
                case ["profiled", file]:
                    self._profile.disable()
                    self._profile.dump_stats(file)
                case _:
                    raise ValueError(f"unknown command {line!r}")
            writer.write(b"done\n")
        writer.close()
