"""What happens to requests and configuration when the machine of Grayplane misbehaves."""

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.world import Chaos, chaos_world
from tests.conftest import Figures
from tests.harness.envoy import EnvoyProcess

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


class Offset:
    """The file that libfaketime reads the offset of the clock from, whenever it is asked for the time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("+0")

    def write(self, offset: str) -> None:
        self.path.write_text(f"{offset}\n")


def faketime() -> str:
    """The library that gives a process another time of day; its other clocks stay."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "libfaketime is missing; Debian: apt install libfaketime"
    return str(found[0])


async def test_killed(tmp_path: Path, figure: Figures) -> None:
    async with chaos_world(tmp_path, figure) as chaos:
        await chaos.grayplane.kill()
        chaos.edit("v2")
        await asyncio.sleep(1)
        await chaos.grayplane.launch()
        figure("recovered after (s)", await chaos.served("v2"))


async def test_stopped_and_started(tmp_path: Path, figure: Figures) -> None:
    async with chaos_world(tmp_path, figure) as chaos:
        assert await chaos.grayplane.stop() == 0
        chaos.edit("v2")
        await asyncio.sleep(1)
        await chaos.grayplane.launch()
        figure("recovered after (s)", await chaos.served("v2"))


async def test_hung(tmp_path: Path, figure: Figures) -> None:
    async with chaos_world(tmp_path, figure) as chaos:
        os.kill(chaos.grayplane.process_id, signal.SIGSTOP)
        chaos.edit("v2")
        await asyncio.sleep(10)
        os.kill(chaos.grayplane.process_id, signal.SIGCONT)
        figure("recovered after (s)", await chaos.served("v2"))


async def test_disk_full(tmp_path: Path, figure: Figures) -> None:
    """No file grows any more: not the snapshot, not the status, not the log."""
    async with chaos_world(tmp_path, figure) as chaos:
        limit(chaos, resource.RLIMIT_FSIZE, 0)
        chaos.edit("v2")
        figure("edit served after (s)", await chaos.served("v2"))
        chaos.add("late", "late.example.com")
        await chaos.until_trouble("the snapshot cannot be written")
        assert await chaos.lost() == set()
        limit(chaos, resource.RLIMIT_FSIZE, None)
        began = time.monotonic()
        await chaos.until_well()
        figure("recovered after (s)", time.monotonic() - began)
        # The snapshot has everything, though the disk was full when it came.
        assert {"/late.yaml", "/reviews.yaml"} <= documents_kept(tmp_path)


async def test_out_of_file_descriptors(tmp_path: Path, figure: Figures) -> None:
    async with chaos_world(tmp_path, figure) as chaos:
        limit(chaos, resource.RLIMIT_NOFILE, 3)  # fewer than are open: nothing more can be opened
        chaos.edit("v2")
        chaos.add("late", "late.example.com")
        await asyncio.sleep(5)
        limit(chaos, resource.RLIMIT_NOFILE, None)
        figure("recovered after (s)", await chaos.served("v2"))
        await chaos.until_well()
        async with EnvoyProcess(bootstrap_of_another(chaos)):
            pass


async def test_out_of_memory(tmp_path: Path, figure: Figures) -> None:
    """Nothing more can be allocated: it goes on, or it ends and its supervisor starts it again."""
    async with chaos_world(tmp_path, figure) as chaos:
        limit(chaos, resource.RLIMIT_AS, address_space(chaos) + (8 << 20))
        for number in range(300):
            host = f"big{number}.example.com"
            chaos.add(f"big{number}", host)
        chaos.edit("v2")
        process = chaos.grayplane.process_id
        async with asyncio.TaskGroup() as tasks:
            supervising = tasks.create_task(chaos.grayplane.supervise())
            await asyncio.sleep(5)
            figure("survived", chaos.grayplane.process_id == process)
            if chaos.grayplane.process_id == process:  # it may end all the same, of what it met before
                limit(chaos, resource.RLIMIT_AS, None)
            figure("recovered after (s)", await chaos.served("v2"))
            supervising.cancel()


async def test_the_clock_jumps_a_day_forth_and_back(tmp_path: Path, figure: Figures) -> None:
    offset = Offset(tmp_path / "offset")
    environment = {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(offset.path),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with chaos_world(tmp_path, figure, environment=environment) as chaos:
        for jump, version in (("+1d", "v2"), ("-1d", "v1"), ("+0", "v2")):
            offset.write(jump)
            chaos.edit(version)
            figure(f"edit served after {jump} (s)", await chaos.served(version))
        await chaos.until_well()


async def test_slow_disk(tmp_path: Path, figure: Figures) -> None:
    command = (sys.executable, "-m", "tests.chaos.slow_disk")
    async with chaos_world(tmp_path, figure, command=command) as chaos:
        chaos.edit("v2")
        figure("edit served after (s)", await chaos.served("v2"))
        began = time.monotonic()
        await chaos.grayplane.ready()
        figure("/ready answered after (s)", time.monotonic() - began)
        await chaos.grayplane.kill()
        await chaos.grayplane.launch()
        chaos.edit("v1")
        figure("recovered after a kill (s)", await chaos.served("v1"))


def documents_kept(home: Path) -> set[str]:
    """The documents in the snapshot."""
    [file] = (home / "state").glob("snapshot-*.sqlite")
    with contextlib.closing(sqlite3.connect(file)) as database:
        return {name for (name,) in database.execute("SELECT name FROM document")}


def limit(chaos: Chaos, what: int, value: int | None) -> None:
    """Set the soft limit of a resource of the running Grayplane; None: as much as there may be."""
    _, hard = resource.prlimit(chaos.grayplane.process_id, what)
    resource.prlimit(chaos.grayplane.process_id, what, (hard if value is None else value, hard))


def address_space(chaos: Chaos) -> int:
    """Bytes of memory that are mapped."""
    pages = Path(f"/proc/{chaos.grayplane.process_id}/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


def bootstrap_of_another(chaos: Chaos) -> dict[str, object]:
    """Another edge on this machine."""
    bootstrap = chaos.grayplane.bootstrap("edge")
    bootstrap["node"]["id"] = "edge-2"
    return bootstrap
