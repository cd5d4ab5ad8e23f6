import asyncio
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from xds.demo.child import Child
from xds.demo.errors import DemoError


def python(directory: Path, code: str) -> Child:
    return Child("sample", directory / "sample.log", [sys.executable, "-u", "-c", textwrap.dedent(code)])


async def line_of(log: Path) -> str:
    while not (text := _text(log)).endswith("\n"):
        await asyncio.sleep(0.01)
    return text.strip()


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8") if log.exists() else ""


async def test_one_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = python(tmp_path, "for i in range(100): print('line', i)\nraise SystemExit(3)")
    await child.start()
    with pytest.raises(DemoError) as caught:
        await child.watch()
    assert caught.value.lines[0].startswith("sample ended with status 3; the end of its log, ")
    assert caught.value.lines[1:] == tuple(f"  line {number}" for number in range(85, 100))


async def test_one_that_was_killed_is_told_by_the_signal(tmp_path: Path) -> None:
    child = python(tmp_path, "import os\nos.kill(os.getpid(), 9)")
    await child.start()
    with pytest.raises(DemoError, match="sample ended by SIGKILL"):
        await child.watch()


async def test_stopping_lets_it_end_by_itself(tmp_path: Path) -> None:
    child = python(
        tmp_path,
        """
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("bye")))
        print("up")
        signal.pause()
        """,
    )
    await child.start()
    assert await line_of(child.log) == "up"
    await child.stop()
    assert child.log.read_text(encoding="utf-8") == "up\nbye\n"


async def test_stopping_takes_what_it_started_with_it(tmp_path: Path) -> None:
    child = python(
        tmp_path,
        """
        import subprocess, sys
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(grandchild.pid)
        grandchild.wait()
        """,
    )
    await child.start()
    grandchild = psutil.Process(int(await line_of(child.log)))
    await child.stop()
    psutil.wait_procs([grandchild])
    assert not grandchild.is_running()


async def test_stopping_what_never_started_is_fine(tmp_path: Path) -> None:
    await python(tmp_path, "").stop()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no signal for a parent's death")
def test_it_ends_when_the_demo_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "sample.log"
    code = f"""
        import asyncio, sys
        from pathlib import Path
        from xds.demo.child import Child

        async def main():
            wait = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
            await Child("sample", Path({str(log)!r}), [sys.executable, "-c", wait]).start()
            await asyncio.sleep(600)

        asyncio.run(main())
        """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    child = psutil.Process(int(asyncio.run(line_of(log))))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    psutil.wait_procs([child])
    assert not child.is_running()
