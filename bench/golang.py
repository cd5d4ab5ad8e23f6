"""Builds the Go half: go-control-plane's server, and the load client of both servers."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

ABSENT = "no Go on this machine: neither go-control-plane nor the load client could be built"

_MODULE = Path(__file__).parent / "peer"


def cache_directory() -> Path:
    """Return the user's cache directory for the benchmarks (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base, "grayplane", "bench")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@functools.cache
def binary() -> Path | None:
    """Return the built program; None where there is no Go."""
    go = shutil.which("go")
    if go is None:
        return None
    program = cache_directory() / "peer"
    subprocess.run([go, "build", "-o", program, "."], cwd=_MODULE, check=True)
    return program
