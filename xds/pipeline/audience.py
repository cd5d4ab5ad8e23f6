"""Who a node is: what decides which services, routes and listeners it sees.

Nodes of one audience see the same things and share one view of the cache. The names in ``node.metadata``
are those of the bootstraps in ``envoy/``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
    if upstreams is not None and not (
        isinstance(upstreams, list) and all(isinstance(name, str) for name in upstreams)
    ):
        return Stranger(f"node.metadata.upstreams is {upstreams!r}; it is a list of service names")
    port = metadata.get("port")
    if port is None:
        return Sidecar(group, frozenset(upstreams) if upstreams is not None else None)
    # A protobuf Struct knows one kind of number.
    if (
        not isinstance(port, int | float)
        or isinstance(port, bool)
        or port != int(port)
        or not 0 < port < 65536
    ):
        return Stranger(f"node.metadata.port is {port!r}; it is the application's port on 127.0.0.1")
    return Sidecar(group, frozenset(upstreams) if upstreams is not None else None, int(port))
