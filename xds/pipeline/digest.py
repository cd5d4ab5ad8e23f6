"""A digest of what a service is compiled from: tells whether what an earlier run compiled is current."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

import msgspec

from xds.documents.identity import Origin
from xds.routing import Routing
from xds.rules.instance import Instance


def inputs_digest(
    routing: Routing, origins: tuple[Origin, ...], instances: Sequence[Instance], *, grpc_clients: bool
) -> str:
    """Return a digest of everything that a service is compiled from, the code included."""
    digest = hashlib.blake2b(code_digest(), digest_size=16)
    # The names of types are part of what is decided. Only a set has no order of its own.
    digest.update(repr((sorted(routing.gateways), replace(routing, gateways=frozenset()))).encode())
    digest.update(msgspec.json.encode((origins, instances, grpc_clients), order="deterministic"))
    return digest.hexdigest()


@cache
def code_digest() -> bytes:
    """Return a digest of the whole program.

    It takes some ten milliseconds the first time. Which modules take part in a compilation is easily got
    wrong, and a stale resource is worse than compiling once more after an upgrade.
    """
    digest = hashlib.blake2b(metadata.version("envoy-data-plane").encode())
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
