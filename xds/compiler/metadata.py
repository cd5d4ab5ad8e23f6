"""Metadata that resources carry for logs, traces and filters of Envoy, under the name ``grayplane``."""

from collections.abc import Mapping

from xds.wire import delimited

NAMESPACE = "grayplane"

# Field numbers (envoy/config/core/v3/base.proto, google/protobuf/struct.proto).
_FILTER_METADATA = 1  # Metadata.filter_metadata, a map
_FIELDS = 1  # Struct.fields, a map
_STRING_VALUE = 3  # Value.string_value
_KEY, _VALUE = 1, 2  # of an entry of a map


def own_metadata(values: Mapping[str, str]) -> bytes:
    """Encode a Metadata with these texts. Every cluster has one: it is put together from fields."""
    struct = b"".join(
        _entry(_FIELDS, key, delimited(_STRING_VALUE, value.encode())) for key, value in values.items()
    )
    return _entry(_FILTER_METADATA, NAMESPACE, struct)


def _entry(field: int, key: str, value: bytes) -> bytes:
    return delimited(field, delimited(_KEY, key.encode()) + delimited(_VALUE, value))
