"""Protobuf bytes: fast encoding of ``envoy_data_plane`` messages, requests by upb, splicing."""

from xds.wire.builder import build
from xds.wire.encoder import any_of, encode, type_url
from xds.wire.requests import (
    DeltaRequest,
    Locality,
    Node,
    SotwRequest,
    Status,
    WireError,
    decode_delta_request,
    decode_node,
    decode_sotw_request,
)
from xds.wire.splice import delimited, varint

__all__ = [
    "DeltaRequest",
    "Locality",
    "Node",
    "SotwRequest",
    "Status",
    "WireError",
    "any_of",
    "build",
    "decode_delta_request",
    "decode_node",
    "decode_sotw_request",
    "delimited",
    "encode",
    "type_url",
    "varint",
]
