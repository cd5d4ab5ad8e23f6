"""Runs Grayplane on a slow disk: `python -m tests.chaos.slow_disk serve …`.

No part of Python's library can make a disk slow, so this makes those calls slow by which Grayplane opens its
database, reads and moves files. What the kernel does to a process that waits for a disk is the same for it.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xds.cli import main

READ_SECONDS, WRITE_SECONDS = 0.01, 2.0


def _slow(seconds: float, call: Callable[..., Any]) -> Callable[..., Any]:
    def slowly(*arguments: Any, **named: Any) -> Any:
        time.sleep(seconds)
        return call(*arguments, **named)

    return slowly


if __name__ == "__main__":
    for name in ("read_bytes", "read_text"):
        setattr(Path, name, _slow(READ_SECONDS, getattr(Path, name)))
    for name in ("replace", "write_bytes", "write_text"):
        setattr(Path, name, _slow(WRITE_SECONDS, getattr(Path, name)))
    sqlite3.connect = _slow(WRITE_SECONDS, sqlite3.connect)
    main()
