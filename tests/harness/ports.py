"""Free TCP ports that tests running beside each other do not take from each other."""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

# Below the ports that kernels give to outgoing connections: nobody takes one of these by chance between
# the moment it is found free and the moment the program under test listens on it.
_FIRST, _LAST = 12000, 32000

_locks = ExitStack()  # open until this process ends, and with it every port's lock


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on and that no other test process was given."""
    directory = Path(tempfile.gettempdir(), f"grayplane-test-ports-{os.getuid()}")
    directory.mkdir(exist_ok=True)
    while True:
        port = random.randint(_FIRST, _LAST)
        if _claim(directory / str(port)) and _is_free(port):
            return port


def free_ports(count: int) -> list[int]:
    """Return several free ports."""
    return [free_port() for _ in range(count)]


def _claim(path: Path) -> bool:
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _locks.enter_context(lock)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
