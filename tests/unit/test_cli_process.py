"""The command ``grayplane`` as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.harness.ports import free_port


def python(*arguments: str, environment: dict[str, str] | None = None) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@contextmanager
def serving(directory: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run `grayplane serve` with its HTTP port a free one; whatever happens, nothing of it is left over."""
    settings = [f"xds.port={port}", "http.port=0", "log.format=json", f"state_dir={directory / 'state'}"]
    settings += [f"files.{name}={directory}" for name in ("rules", "services")]
    flags = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "xds", "serve", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_listens_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    with serving(tmp_path, port) as process:
        assert process.stderr is not None
        assert any('"event": "listening"' in line for line in process.stderr)
        with socket.create_connection(("127.0.0.1", port)):
            process.send_signal(number)
            said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(tmp_path, port) as process:
            said = process.communicate()[1]
    assert process.returncode == 1
    [line] = said.splitlines()
    assert line.startswith("grayplane: ")
    assert str(port) in line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_it(shell: str) -> None:
    """What `grayplane --show-completion` prints asks the command itself for what may follow."""
    environment = {**os.environ, "_GRAYPLANE_COMPLETE": f"source_{shell}"}
    script = python("-m", "xds", environment=environment)
    assert "_GRAYPLANE_COMPLETE" in script


def test_completion_knows_the_commands() -> None:
    environment = {
        **os.environ,
        "_GRAYPLANE_COMPLETE": "complete_bash",
        "COMP_WORDS": "grayplane va",
        "COMP_CWORD": "1",
    }
    assert python("-m", "xds", environment=environment).split() == ["validate"]


def test_it_runs_as_a_module() -> None:
    assert python("-m", "xds", "--version") == f"grayplane {version('grayplane')}\n"
