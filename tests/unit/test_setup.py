"""What `.ci/setup` says on machines that it cannot set anything up on. Nothing is installed here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / ".ci" / "setup"
OTHER_LIBC = "exit 1"


def machine(directory: Path, **commands: str) -> dict[str, str]:
    """Make a machine where some commands are shell scripts, and Python is the one that tests run on."""
    commands = {
        "uname": '[ "$1" = -s ] && echo Linux || echo x86_64',
        "getconf": "echo glibc 2.36",
        "python3": f'exec {sys.executable} "$@"',
        **commands,
    }
    for name, script in commands.items():
        command = directory / name
        command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        command.chmod(0o755)
    return {"PATH": f"{directory}:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}


def refusal(directory: Path, environment: dict[str, str]) -> str:
    """Run the set-up in an empty directory and return the one line that it refuses with."""
    done = subprocess.run(
        [SETUP], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert not (directory / ".venv").exists()
    [line] = (done.stdout + done.stderr).splitlines()
    return line


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ({"uname": '[ "$1" = -s ] && echo Linux || echo riscv64'}, "there is no Envoy for Linux on riscv64"),
        ({"uname": '[ "$1" = -s ] && echo Darwin || echo x86_64'}, "there is no Envoy for Darwin on x86_64"),
        ({"getconf": "echo glibc 2.28"}, "Envoy needs glibc 2.31 or later"),
        ({"getconf": OTHER_LIBC}, "this machine has another C library"),
    ],
)
def test_a_machine_without_an_envoy(tmp_path: Path, commands: dict[str, str], says: str) -> None:
    assert says in refusal(tmp_path, machine(tmp_path, **commands))


def test_no_recent_python(tmp_path: Path) -> None:
    # The names that are tried; a script that fails stands for a Python that is too old.
    old = dict.fromkeys(("python3", *(f"python3.{minor}" for minor in range(11, 15))), "exit 1")
    assert "Python 3.11 or later is needed" in refusal(tmp_path, machine(tmp_path, **old))


def test_the_python_asked_for_is_too_old(tmp_path: Path) -> None:
    environment = machine(tmp_path, ancient="exit 1") | {"PYTHON": "ancient"}
    assert "tried ancient" in refusal(tmp_path, environment)


def test_a_python_without_venv(tmp_path: Path) -> None:
    without = f'case "$2" in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac'
    environment = machine(tmp_path, python3=without) | {"PYTHON": "python3"}
    assert "apt install python3-venv" in refusal(tmp_path, environment)
