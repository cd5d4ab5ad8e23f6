"""Which node belongs to which audience."""

import pytest

from xds.pipeline.audience import Audience, Edge, Sidecar, Stranger, audience_of
from xds.wire import Node


@pytest.mark.parametrize(
    ("metadata", "audience"),
    [
        ({"role": "edge"}, Edge("g")),
        ({}, Edge("g")),
        ({"role": "sidecar"}, Sidecar("g")),
        ({"role": "sidecar", "service": "reviews", "port": 9080.0}, Sidecar("g", port=9080)),
        ({"role": "sidecar", "upstreams": []}, Sidecar("g", upstreams=frozenset())),
        ({"role": "sidecar", "upstreams": ["b", "a", "a"]}, Sidecar("g", upstreams=frozenset({"a", "b"}))),
    ],
)
def test_who_a_node_is(metadata: dict[str, object], audience: Audience) -> None:
    assert audience_of(Node(id="n", cluster="g", metadata=metadata)) == audience


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"role": "gateway"}, "role"),
        ({"role": None}, "role"),
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
    audience = audience_of(Node(id="n", cluster="g", metadata=metadata))
    assert isinstance(audience, Stranger)
    assert f"node.metadata.{field} " in audience.reason
