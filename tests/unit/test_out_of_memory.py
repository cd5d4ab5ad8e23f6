"""A process in which anything was stopped half way for lack of memory ends; after other errors it goes on."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
from xds.out_of_memory import end_when_out_of_memory, tell_if_out_of_memory

async def main():
    end_when_out_of_memory()
    loop = asyncio.get_running_loop()

    def fail(error):
        raise error

    async def fail_alone(error):
        raise error

    {happens}
    await asyncio.sleep(0.1)
    print("goes on")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("happens", "ends"),
    [
        ("loop.call_soon(fail, MemoryError())", True),
        ("loop.call_soon(fail, ValueError())", False),
        ("asyncio.create_task(fail_alone(MemoryError()))", True),
        ("tell_if_out_of_memory(ExceptionGroup('', [ValueError(), MemoryError()]))", True),
        ("tell_if_out_of_memory(ExceptionGroup('', [ValueError()]))", False),
    ],
)
def test_lack_of_memory_ends_the_process(happens: str, ends: bool) -> None:
    program = PROGRAM.format(happens=happens)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == (70 if ends else 0), ran.stderr
    assert ("goes on" in ran.stdout) is not ends
    assert ("out of memory: the process ends" in ran.stderr + ran.stdout) is ends
