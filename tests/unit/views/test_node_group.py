"""Which group a node belongs to."""

import pytest

from xds.views import EdgeGroup, GrpcClientGroup, NodeGroup, SidecarGroup, UnknownNode, node_group_of
from xds.wire import Node


@pytest.mark.parametrize(
    ("metadata", "group"),
    [
        ({"role": "edge"}, EdgeGroup("g")),
        ({}, EdgeGroup("g")),
        ({"namespace": "staging"}, EdgeGroup("g", "staging")),
        ({"role": "sidecar", "namespace": "staging"}, SidecarGroup("g", "staging")),
        ({"role": "grpc-client"}, GrpcClientGroup("g")),
        ({"role": "grpc-client", "upstreams": ["b"]}, GrpcClientGroup("g", "", frozenset({"b"}))),
        ({"role": "sidecar"}, SidecarGroup("g")),
        ({"role": "sidecar", "service": "reviews", "port": 9080.0}, SidecarGroup("g", port=9080)),
        ({"role": "sidecar", "upstreams": []}, SidecarGroup("g", upstreams=frozenset())),
        (
            {"role": "sidecar", "upstreams": ["b", "a", "a"]},
            SidecarGroup("g", upstreams=frozenset({"a", "b"})),
        ),
    ],
)
def test_who_a_node_is(metadata: dict[str, object], group: NodeGroup) -> None:
    assert node_group_of(Node(id="n", cluster="g", metadata=metadata)) == group


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"role": "gateway"}, "role"),
        ({"role": None}, "role"),
        ({"namespace": 1.0}, "namespace"),
        ({"role": "grpc-client", "upstreams": "reviews"}, "upstreams"),
        ({"role": "sidecar", "upstreams": "reviews"}, "upstreams"),
        ({"role": "sidecar", "upstreams": [1.0]}, "upstreams"),
        ({"role": "sidecar", "port": "9080"}, "port"),
        ({"role": "sidecar", "port": 0.0}, "port"),
        ({"role": "sidecar", "port": 80.5}, "port"),
        ({"role": "sidecar", "port": float("nan")}, "port"),
        ({"role": "sidecar", "port": float("inf")}, "port"),
        ({"role": "sidecar", "port": True}, "port"),
    ],
)
def test_a_node_that_is_not_understood_is_told_which_field(metadata: dict[str, object], field: str) -> None:
    group = node_group_of(Node(id="n", cluster="g", metadata=metadata))
    assert isinstance(group, UnknownNode)
    assert f"node.metadata.{field} " in group.reason


def test_a_group_may_have_a_namespace_that_its_nodes_need_not_name() -> None:
    def namespace_of(cluster: str) -> str:
        return {"g": "staging"}.get(cluster, "")

    assert node_group_of(Node(id="n", cluster="g"), namespace_of) == EdgeGroup("g", "staging")
    assert node_group_of(Node(id="n", cluster="h"), namespace_of) == EdgeGroup("h")
    says = Node(id="n", cluster="g", metadata={"namespace": "prod"})
    assert node_group_of(says, namespace_of) == EdgeGroup("g", "prod"), "what a node says counts"


@pytest.mark.parametrize("user_agent", ["gRPC Go", "gRPC Java", "gRPC C-core 1.85.0"])
def test_a_grpc_client_without_a_role_is_not_taken_for_an_edge(user_agent: str) -> None:
    assert node_group_of(Node(id="n", cluster="g", user_agent_name=user_agent)) == GrpcClientGroup("g")
    role = Node(id="n", cluster="g", user_agent_name=user_agent, metadata={"role": "edge"})
    assert node_group_of(role) == EdgeGroup("g"), "what a node says of itself counts"
