"""A digest of the program itself: tells whether two processes, or two runs, are of the same version."""

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

_LIBRARIES = ("envoy-data-plane", "betterproto2", "pydantic", "pydantic-core", "PyYAML")
"""What documents are read and messages are encoded with."""


@cache
def code_digest() -> bytes:
    """Return a digest of the whole program.

    It takes some ten milliseconds the first time. Which modules take part in a compilation is easily got
    wrong, and a stale resource is worse than compiling once more after an upgrade.
    """
    digest = hashlib.blake2b(repr([metadata.version(library) for library in _LIBRARIES]).encode())
    for path, source in sorted(_sources(resources.files("xds"))):
        digest.update(path.encode())
        digest.update(source)
    return digest.digest()


def _sources(directory: Traversable, path: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        name = f"{path}/{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, name)
        elif entry.name.endswith(".py"):
            yield name, entry.read_bytes()
