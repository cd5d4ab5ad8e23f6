"""Node groups: the nodes that see the same services, routes and listeners.

Nodes of one group share one view of the cache. Which group a node belongs to is decided from the node that
it says it is and from the peer that it was authenticated as. Where changes are pushed in stages, the nodes of
a proxy group are in *cohorts*, numbered from 0, which gets changes first (``cohorts``). The names in
``node.metadata`` are those of the bootstraps in ``envoy/``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeGuard

from xds.wire import Node

_GRPC_USER_AGENT = "gRPC "
"""The user agent of gRPC clients begins with this: ``gRPC Go``, ``gRPC Java``, ``gRPC C-core``."""


@dataclass(frozen=True, slots=True)
class EdgeGroup:
    """The edge proxies of ``node.cluster`` ``name``: they serve the hosts of rules with this gateway."""

    role: ClassVar[str] = "edge"
    name: str
    namespace: str = ""
    cohort: int = 0


@dataclass(frozen=True, slots=True)
class SidecarGroup:
    """Sidecars of ``node.cluster`` ``name`` that call the same services and whose application has one port.

    ``upstreams`` None means all services; ``port`` None means that nothing calls the application.
    """

    role: ClassVar[str] = "sidecar"
    name: str
    namespace: str = ""
    upstreams: frozenset[str] | None = None
    port: int | None = None
    cohort: int = 0


@dataclass(frozen=True, slots=True)
class GrpcClientGroup:
    """gRPC clients without a proxy that call the same services; ``upstreams`` None means all."""

    role: ClassVar[str] = "grpc-client"
    name: str
    namespace: str = ""
    upstreams: frozenset[str] | None = None
    cohort: int = 0


@dataclass(frozen=True, slots=True)
class UnknownNode:
    """A node whose role or metadata cannot be served; it sees nothing.

    ``reason`` is for the author of its bootstrap.
    """

    role: ClassVar[str] = "unknown"
    namespace: ClassVar[str] = ""
    cohort: ClassVar[int] = 0
    reason: str


NodeGroup = EdgeGroup | SidecarGroup | GrpcClientGroup | UnknownNode


def node_group_of(node: Node, namespace_of: Callable[[str], str] = lambda _: "") -> NodeGroup:
    """Return the group of a node, by ``node.cluster``, ``node.metadata`` and its user agent.

    ``namespace_of`` says which namespace a proxy group has if its nodes do not say.
    """
    is_grpc = node.user_agent_name.startswith(_GRPC_USER_AGENT)
    role = node.metadata.get("role", "grpc-client" if is_grpc else "edge")
    namespace = node.metadata.get("namespace")
    if namespace is None:
        namespace = namespace_of(node.cluster)
    if not isinstance(namespace, str):
        return UnknownNode(f"node.metadata.namespace is {namespace!r}; it is the name of a namespace")
    match role:
        case "edge":
            return EdgeGroup(node.cluster, namespace)
        case "sidecar":
            return _sidecar_group(node, namespace)
        case "grpc-client":
            upstreams = _upstreams(node.metadata)
            if isinstance(upstreams, UnknownNode):
                return upstreams
            return GrpcClientGroup(node.cluster, namespace, upstreams)
        case _:
            return UnknownNode(f"node.metadata.role is {role!r}; it is edge, sidecar or grpc-client")


def _sidecar_group(node: Node, namespace: str) -> NodeGroup:
    upstreams = _upstreams(node.metadata)
    if isinstance(upstreams, UnknownNode):
        return upstreams
    port = node.metadata.get("port")
    if port is not None and not _is_port(port):
        return UnknownNode(f"node.metadata.port is {port!r}; it is the application's port on 127.0.0.1")
    return SidecarGroup(node.cluster, namespace, upstreams, None if port is None else int(port))


def _upstreams(metadata: Mapping[str, object]) -> frozenset[str] | UnknownNode | None:
    upstreams = metadata.get("upstreams")
    if upstreams is None:
        return None
    if not _is_names(upstreams):
        return UnknownNode(f"node.metadata.upstreams is {upstreams!r}; it is a list of service names")
    return frozenset(upstreams)


def _is_names(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_port(value: object) -> TypeGuard[float]:
    # A protobuf Struct has one type for all numbers, a double.
    return isinstance(value, float) and value.is_integer() and 0 < value < 65536
