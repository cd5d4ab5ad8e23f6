"""The weight of a request: what decoding it will cost, without decoding it."""

import pytest
from envoy_data_plane.envoy.config.core.v3 import Extension, Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest, DiscoveryRequest
from envoy_data_plane.google.protobuf import Struct

from xds.wire import WireError, encode
from xds.wire.weight import weigh

NODE = Node(
    id="a", extensions=[Extension(name=str(n)) for n in range(10)], metadata=Struct.from_dict({"k": 1})
)


@pytest.mark.parametrize(("request_class", "node_field"), [(DeltaDiscoveryRequest, 1), (DiscoveryRequest, 2)])
def test_fields_and_those_of_the_node_count(
    request_class: type[DeltaDiscoveryRequest] | type[DiscoveryRequest], node_field: int
) -> None:
    data = encode(request_class(node=NODE, type_url="t"))
    assert weigh(data, node_field, most=1000).fields == 2 + 12
    assert NODE.metadata
    assert weigh(data, node_field, most=1000).metadata_bytes == len(encode(NODE.metadata))


def test_weighing_stops_soon_after_the_most() -> None:
    assert weigh(b"\x1a\x00" * 1_000_000, 1, most=10).fields == 11
    node = b"\x0a\x80\x80\x01" + b"\x4a\x00" * 8192
    assert weigh(node * 100, 1, most=10).fields <= 12


def test_metadata_in_pieces_adds_up() -> None:
    piece = b"\x0a\x04\x1a\x02\x0a\x00"  # node { metadata { fields {} } }
    assert weigh(piece * 3, 1, most=100).metadata_bytes == 6


def test_malformed_bytes_are_a_wire_error() -> None:
    with pytest.raises(WireError):
        weigh(b"\x0a\x05a", 1, most=10)
