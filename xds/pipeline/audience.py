"""Who a node is: what decides which services, routes and listeners it sees.

Nodes of one audience see the same things and share one view of the cache. The names in ``node.metadata``
are those of the bootstraps in ``envoy/``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from xds.wire import Node


@dataclass(frozen=True, slots=True)
class Edge:
    """The edge proxies of a group: they serve the hosts of the rules that name the group as gateway."""

    group: str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Sidecars of a group that call the same services and whose application listens on the same port.

    ``upstreams`` None means all services; ``port`` None means that nothing calls the application.
    """

    group: str
    upstreams: frozenset[str] | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Stranger:
    """A node that does not say what it is in a way that can be served; it sees nothing.

    ``reason`` is for who wrote its bootstrap.
    """

    reason: str


Audience = Edge | Sidecar | Stranger


def audience_of(node: Node) -> Audience:
    """Say which audience a node belongs to, by ``node.cluster`` and ``node.metadata``."""
    match node.metadata.get("role", "edge"):
        case "edge":
            return Edge(node.cluster)
        case "sidecar":
            return _sidecar(node.cluster, node.metadata)
        case role:
            return Stranger(f"node.metadata.role is {role!r}; it is edge or sidecar")


def _sidecar(group: str, metadata: Mapping[str, object]) -> Audience:
    upstreams = metadata.get("upstreams")
    if upstreams is not None and not _is_names(upstreams):
        return Stranger(f"node.metadata.upstreams is {upstreams!r}; it is a list of service names")
    port = metadata.get("port")
    if port is not None and not _is_port(port):
        return Stranger(f"node.metadata.port is {port!r}; it is the application's port on 127.0.0.1")
    return Sidecar(
        group,
        upstreams=None if upstreams is None else frozenset(upstreams),
        port=None if port is None else int(port),
    )


def _is_names(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_port(value: object) -> TypeGuard[float]:
    # A protobuf Struct knows one kind of number.
    return isinstance(value, float) and value.is_integer() and 0 < value < 65536
