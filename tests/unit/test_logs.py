"""Where the log goes."""

import errno
import io
import subprocess
import sys

import pytest

from xds.logs import LossyStream


class Disk(io.StringIO):
    """A file on a disk that may be full."""

    is_full = False

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else() -> None:
    disk = Disk()
    stream = LossyStream(disk)
    print("one", file=stream, flush=True)
    disk.is_full = True
    stream.write("two\n")
    stream.write("three\n")
    disk.is_full = False
    stream.write("four\n")
    assert disk.getvalue() == "one\ngrayplane: the log could not be written, 2 times\nfour\n"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_is_one_write_also_of_libraries(form: str) -> None:
    """Threads write side by side: in two writes, another line could get between a line and its end."""
    program = f"""
import sys
class Stderr:
    def __init__(self): self.writes = []
    def write(self, text): self.writes.append(text); return len(text)
    def flush(self): pass
    def isatty(self): return False
sys.stderr = seen = Stderr()
from xds import logs
logs.configure("info", {form!r})
import logging, structlog
structlog.get_logger("ours").info("one", a=1)
logging.getLogger("theirs").warning("two")
print(sum(text.count("\\n") == 1 and text.endswith("\\n") for text in seen.writes), len(seen.writes))
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert told.split() == ["2", "2"]
