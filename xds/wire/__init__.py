"""Protobuf bytes: fast encoding of ``envoy_data_plane`` messages, partial decoding of requests, splicing."""

from .builder import build
from .encoder import any_of, encode, type_url
from .reader import WireError
from .requests import (
    DeltaRequest,
    Locality,
    Node,
    SotwRequest,
    Status,
    decode_delta_request,
    decode_sotw_request,
)
from .splice import delimited, varint

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
    "decode_sotw_request",
    "delimited",
    "encode",
    "type_url",
    "varint",
]
