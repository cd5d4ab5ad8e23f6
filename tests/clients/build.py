"""Builds the gRPC clients, each by its own package manager, once, into the user's cache."""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

_DRIVERS = Path(__file__).parent
_DOCUMENTED = Path(__file__).parents[2] / "docs" / "grpc"
_OPEN_FEATURE = Path(__file__).parents[2] / "docs" / "openfeature"


class Language(StrEnum):
    """A language with a gRPC client of its own. Python's (C-core) stands for C++, Ruby and PHP, too."""

    GO = "go"
    PYTHON = "python"
    NODE = "node"
    JAVA = "java"


_TOOLS = {
    Language.GO: ("go",),
    Language.PYTHON: (),
    Language.NODE: ("node", "npm"),
    Language.JAVA: ("java", "mvn"),
}


def missing_tools(language: Language) -> tuple[str, ...]:
    """Return the programs that a client cannot be built or run without and that are not on this machine."""
    return tuple(tool for tool in _TOOLS[language] if shutil.which(tool) is None)


def command(language: Language) -> Sequence[str]:
    """Return the command that runs a client, without its target; build the client first if need be."""
    if language is Language.PYTHON:
        return (sys.executable, "-m", "tests.clients.python_client")
    return _COMMANDS[language](_built(language, _DRIVERS / language))


def documented(language: Language) -> Sequence[str]:
    """Return the command that runs the program of the documentation, without its arguments."""
    if language is Language.PYTHON:
        return (sys.executable, str(_DOCUMENTED / "python" / "client.py"))
    return _COMMANDS[language](_built(language, _DOCUMENTED / language))


def open_feature(language: Language) -> Sequence[str]:
    """Return the command that runs the program of docs/openfeature.md: Go's or Python's."""
    if language is Language.PYTHON:
        return (sys.executable, str(_OPEN_FEATURE / "python" / "decide.py"))
    return _COMMANDS[language](_built(language, _OPEN_FEATURE / language))


@functools.cache
def _built(language: Language, source: Path) -> Path:
    """Return the folder that a client is built in: a copy of its ``source``, named after what is in it."""
    files = sorted(
        path
        for path in source.rglob("*")
        if path.is_file() and not {"node_modules", "target"} & {*path.parts}
    )
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grayplane" / "clients"
    folder = base / f"{language}-{digest.hexdigest()}"
    base.mkdir(parents=True, exist_ok=True)
    with (base / f"{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be building it
        if not (folder / ".built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            for path in files:
                (folder / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / path.relative_to(source))
            subprocess.run(_BUILD[language], cwd=folder, check=True, stdout=sys.stderr)
            (folder / ".built").touch()
    return folder


_BUILD: dict[Language, Sequence[str]] = {
    Language.GO: ("go", "build", "-o", "client", "."),
    Language.NODE: ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"),
    Language.JAVA: ("mvn", "--batch-mode", "--quiet", "package"),
}
_COMMANDS: dict[Language, Callable[[Path], Sequence[str]]] = {
    Language.GO: lambda folder: (str(folder / "client"),),
    Language.NODE: lambda folder: ("node", str(folder / "client.js")),
    # A small heap and the quick compiler: several run beside each other on a small machine.
    Language.JAVA: lambda folder: (
        *("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"),
        f"{folder / 'target' / '*'}:{folder / 'target' / 'lib' / '*'}",
        "Client",
    ),
}
