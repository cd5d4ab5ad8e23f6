"""Partial decoding of requests, against Google's runtime and against a real Envoy."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from betterproto2 import Message
from envoy_data_plane.envoy.config.core.v3 import BuildVersion, Extension
from envoy_data_plane.envoy.config.core.v3 import Locality as ProtoLocality
from envoy_data_plane.envoy.config.core.v3 import Node as ProtoNode
from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DiscoveryRequest,
    ResourceLocator,
)
from envoy_data_plane.envoy.type.v3 import SemanticVersion
from envoy_data_plane.google.protobuf import ListValue, NullValue, Struct, Value
from envoy_data_plane.google.rpc import Status as ProtoStatus
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.wire.capture import first_request
from tests.unit.wire.messages import ANY, Messages, patient
from tests.unit.wire.oracle import oracle_class
from xds.wire import (
    DeltaRequest,
    Locality,
    Node,
    SotwRequest,
    Status,
    WireError,
    decode_delta_request,
    decode_sotw_request,
    delimited,
    encode,
    varint,
)

DEEP = Messages(durations=ANY.durations, depth=7)


def expected_delta(request: Any) -> DeltaRequest:
    """What to expect, read from the oracle's message."""
    return DeltaRequest(
        node=expected_node(request.node) if request.HasField("node") else None,
        type_url=request.type_url,
        subscribe=(*request.resource_names_subscribe, *names(request.resource_locators_subscribe)),
        unsubscribe=(*request.resource_names_unsubscribe, *names(request.resource_locators_unsubscribe)),
        initial_resource_versions=dict(request.initial_resource_versions),
        response_nonce=request.response_nonce,
        error=expected_status(request),
    )


def expected_sotw(request: Any) -> SotwRequest:
    return SotwRequest(
        version_info=request.version_info,
        node=expected_node(request.node) if request.HasField("node") else None,
        resource_names=(*request.resource_names, *names(request.resource_locators)),
        type_url=request.type_url,
        response_nonce=request.response_nonce,
        error=expected_status(request),
    )


def names(locators: Any) -> list[str]:
    return [locator.name for locator in locators]


def expected_status(request: Any) -> Status | None:
    error = request.error_detail
    return Status(error.code, error.message) if request.HasField("error_detail") else None


def expected_node(node: Any) -> Node:
    place, build = node.locality, node.user_agent_build_version
    numbers = (build.version.major_number, build.version.minor_number, build.version.patch)
    return Node(
        id=node.id,
        cluster=node.cluster,
        metadata=expected_struct(node.metadata),
        locality=Locality(place.region, place.zone, place.sub_zone) if node.HasField("locality") else None,
        user_agent_name=node.user_agent_name,
        user_agent_version=".".join(map(str, numbers))
        if build.HasField("version")
        else node.user_agent_version,
        client_features=tuple(node.client_features),
    )


def expected_struct(value: Any) -> dict[str, object]:
    return {key: expected_value(each) for key, each in value.fields.items()}


def expected_value(value: Any) -> object:
    match value.WhichOneof("kind"):
        case "number_value" | "string_value" | "bool_value" as kind:
            return getattr(value, kind)
        case "struct_value":
            return expected_struct(value.struct_value)
        case "list_value":
            return [expected_value(each) for each in value.list_value.values]
        case _:
            return None


def same(one: object, other: object) -> bool:
    """Equality to which NaN is equal to itself, and true is not 1."""
    return comparable(one) == comparable(other)


def comparable(value: object) -> object:
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: comparable(getattr(value, name)) for name in value.__dataclass_fields__}
    return type(value), value


DECODERS = [
    pytest.param(DeltaDiscoveryRequest, decode_delta_request, expected_delta, id="delta"),
    pytest.param(DiscoveryRequest, decode_sotw_request, expected_sotw, id="sotw"),
]
each_decoder = pytest.mark.parametrize(("message_class", "decode", "expected"), DECODERS)


@each_decoder
@settings(patient, max_examples=100)
@given(data=st.data())
def test_reads_what_google_reads(
    message_class: type[Message], decode: Any, expected: Any, data: st.DataObject
) -> None:
    # Several messages one after the other are one, by the rules for fields that come again.
    messages = data.draw(st.lists(DEEP.of(message_class), min_size=1, max_size=3))
    encoded = b"".join(map(encode, messages))
    assert same(decode(encoded), expected(oracle_class(message_class).FromString(encoded)))


@each_decoder
@settings(patient, max_examples=200)
@given(data=st.data())
def test_damaged_requests_never_read_as_something_else(
    message_class: type[Message], decode: Any, expected: Any, data: st.DataObject
) -> None:
    encoded = bytearray(encode(data.draw(DEEP.of(message_class))))
    for _ in range(data.draw(st.integers(1, 4)) if encoded else 0):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        request = decode(bytes(encoded))
        accepted = oracle_class(message_class).FromString(bytes(encoded))
    except (WireError, DecodeError):
        return  # we look into less than a reader of the whole message does
    # Google's runtime for Python drops a map entry with an unknown field inside; its others and we do not.
    assert has_unknown_fields(accepted) or same(request, expected(accepted))


def has_unknown_fields(message: Any) -> bool:
    return len(UnknownFieldSet(message)) > 0 or any(map(has_unknown_fields, submessages(message)))


def submessages(message: Any) -> Iterator[Any]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if isinstance(value, ProtobufMessage):  # asked first: a Struct is a mapping too
            yield value
        elif isinstance(value, Mapping):
            yield from (each for each in value.values() if isinstance(each, ProtobufMessage))
        else:
            yield from value


@each_decoder
@settings(patient, max_examples=200)
@given(encoded=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(
    message_class: type[Message], decode: Any, expected: Any, encoded: bytes
) -> None:
    try:
        decode(encoded)
    except WireError as error:
        complaint = str(error)
    else:
        complaint = message_class.__name__
    assert message_class.__name__ in complaint


def proto_node() -> ProtoNode:
    # In a function: pydantic completes a class on first use, with the names that it finds there.
    return ProtoNode(
        id="edge-1",
        cluster="edge",
        metadata=Struct(
            fields={
                "role": Value(string_value="edge"),
                "upstreams": Value(
                    list_value=ListValue(
                        values=[Value(string_value="reviews"), Value(null_value=NullValue.NULL_VALUE)]
                    )
                ),
                "limits": Value(struct_value=Struct(fields={"streams": Value(number_value=3)})),
                "debug": Value(bool_value=False),
                "nothing": Value(),
            }
        ),
        locality=ProtoLocality(region="eu", zone="eu-1", sub_zone="a"),
        user_agent_name="envoy",
        user_agent_build_version=BuildVersion(version=SemanticVersion(1, 40, 0)),
        extensions=[
            Extension(name=f"envoy.filters.http.number_{n}", category="envoy.filters.http")
            for n in range(500)
        ],
        client_features=["envoy.lb.does_not_support_overprovisioning"],
    )


def test_a_delta_request_in_full() -> None:
    request = DeltaDiscoveryRequest(
        node=proto_node(),
        type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster",
        resource_names_subscribe=["*", "reviews|gray"],
        resource_names_unsubscribe=["ratings"],
        resource_locators_subscribe=[ResourceLocator(name="xdstp://a/b")],
        initial_resource_versions={"reviews|stable": "v1", "": ""},
        response_nonce="7",
        error_detail=ProtoStatus(code=-3, message="no such filter"),
    )
    assert decode_delta_request(encode(request)) == DeltaRequest(
        node=Node(
            id="edge-1",
            cluster="edge",
            metadata={
                "role": "edge",
                "upstreams": ["reviews", None],
                "limits": {"streams": 3.0},
                "debug": False,
                "nothing": None,
            },
            locality=Locality("eu", "eu-1", "a"),
            user_agent_name="envoy",
            user_agent_version="1.40.0",
            client_features=("envoy.lb.does_not_support_overprovisioning",),
        ),
        type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster",
        subscribe=("*", "reviews|gray", "xdstp://a/b"),
        unsubscribe=("ratings",),
        initial_resource_versions={"reviews|stable": "v1", "": ""},
        response_nonce="7",
        error=Status(-3, "no such filter"),
    )


KEY, VALUE = delimited(1, b"reviews"), delimited(2, b"v1")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (KEY + VALUE, {"reviews": "v1"}),
        (VALUE + KEY, {"reviews": "v1"}),
        (KEY, {"reviews": ""}),
        (VALUE, {"": "v1"}),
        (b"", {"": ""}),
        (KEY + VALUE + delimited(2, b"v2"), {"reviews": "v2"}),
        (delimited(1, b"k" * 0x7F) + delimited(2, b"v" * 0x7F), {"k" * 0x7F: "v" * 0x7F}),
        (delimited(1, b"k" * 0x80) + VALUE, {"k" * 0x80: "v1"}),
        (KEY + delimited(2, b"v" * 0x80), {"reviews": "v" * 0x80}),
    ],
)
def test_a_map_entry_may_be_written_in_many_ways(entry: bytes, expected: dict[str, str]) -> None:
    assert decode_delta_request(delimited(5, entry)).initial_resource_versions == expected


def test_an_empty_request_is_one() -> None:
    assert decode_delta_request(b"") == DeltaRequest()
    assert decode_sotw_request(b"") == SotwRequest()


def test_an_empty_error_is_a_rejection() -> None:
    assert decode_delta_request(encode(DeltaDiscoveryRequest(error_detail=ProtoStatus()))).error == Status()
    assert decode_sotw_request(encode(DiscoveryRequest(error_detail=ProtoStatus()))).error == Status()


def test_a_node_in_pieces_is_put_together() -> None:
    pieces = [ProtoNode(id="old", cluster="edge"), ProtoNode(id="new", client_features=["a"])]
    node = decode_delta_request(b"".join(delimited(1, encode(piece)) for piece in pieces)).node
    assert node == Node(id="new", cluster="edge", client_features=("a",))


def test_the_last_member_of_a_oneof_counts() -> None:
    number, text = Value(number_value=1), Value(string_value="one")
    assert metadata_of(encode(number) + encode(text)) == {"key": "one"}
    assert metadata_of(encode(text) + encode(number)) == {"key": 1.0}


@pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"])
async def test_the_first_request_of_a_real_envoy(api_type: str) -> None:
    encoded = await first_request(api_type)
    assert len(encoded) > 50_000
    request: DeltaRequest | SotwRequest
    if api_type == "GRPC":
        request = decode_sotw_request(encoded)
        assert request == expected_sotw(oracle_class(DiscoveryRequest).FromString(encoded))
    else:
        request = decode_delta_request(encoded)
        assert request == expected_delta(oracle_class(DeltaDiscoveryRequest).FromString(encoded))
    assert request.type_url == "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    assert request.node == Node(
        id="edge-1",
        cluster="edge",
        metadata={"role": "edge", "upstreams": ["reviews", "ratings"], "limits": {"streams": 3.0}},
        locality=Locality("eu", "eu-1", "a"),
        user_agent_name="envoy",
        user_agent_version=request.node.user_agent_version if request.node else "",
        client_features=request.node.client_features if request.node else (),
    )
    assert request.node.user_agent_version.startswith("1.")


@pytest.mark.parametrize(
    "encoded",
    [
        b"\x12",
        b"\x12\x80",
        b"\x12\x05abcd",
        b"\x12" + varint(1 << 62) + b"a",
        b"\xf9\x3e\0\0\0",
        b"\x12\x03a\xffb",
        b"\x1a\x03\xed\xa0\x80",
        b"\x12" + b"\x80" * 10 + b"\0",
        b"\x3a\x02\x0d\x01",
        b"\x14",
        b"\x17",
        b"\x02\x00",
        b"\x0a\x02\x0a\x05",
        b"\x2a\x04\x0a\x02a",
        delimited(5, delimited(1, b"\xff") + VALUE),
        delimited(5, KEY + VALUE[:-1]),
    ],
)
def test_malformed_requests_are_refused(encoded: bytes) -> None:
    with pytest.raises(WireError, match="not a DeltaDiscoveryRequest"):
        decode_delta_request(encoded)


def metadata_of(value: bytes) -> object:
    entry = delimited(1, b"key") + delimited(2, value)
    node = decode_delta_request(delimited(1, delimited(3, delimited(1, entry)))).node
    assert node is not None
    return node.metadata


@pytest.mark.parametrize("kind", ["list", "struct"])
def test_nesting_of_metadata_is_bounded(kind: str) -> None:
    def nested(levels: int) -> bytes:
        value = b""
        for _ in range(levels - 1):
            inner = delimited(2, value) if kind == "struct" else value
            value = delimited(5 if kind == "struct" else 6, delimited(1, inner))
        return value

    assert metadata_of(nested(30))
    for levels in (60, 5_000):
        with pytest.raises(WireError, match="not a DeltaDiscoveryRequest"):
            metadata_of(nested(levels))
