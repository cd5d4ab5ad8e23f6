"""How much there is in a large request, found out before it is decoded.

A request of 8 MiB may have four million fields, and take half a second and 200 MB to decode. Counting stops
as soon as there are too many.

Follows https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import NamedTuple

from xds.wire.requests import WireError
from xds.wire.splice import DELIMITED, FIXED32, FIXED64, VARINT

_METADATA = 3  # of Node
_FIXED_LENGTHS = {FIXED64: 8, FIXED32: 4}


class Weight(NamedTuple):
    """The number of fields of a request, those of its node included, and its node's metadata in bytes."""

    fields: int
    metadata_bytes: int


def weigh(data: bytes, node_field: int, most: int) -> Weight:
    """Weigh an encoded request whose node is field ``node_field``, up to a little more than ``most`` fields.

    Raise ``WireError``.
    """
    fields = metadata = 0
    for number, start, end in _fields(data):
        fields += 1
        if number == node_field:
            for inner, inner_start, inner_end in _fields(data[start:end]):
                fields += 1
                if inner == _METADATA:
                    metadata += inner_end - inner_start
                if fields > most:
                    break
        if fields > most:
            break
    return Weight(fields, metadata)


def _fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field's value."""
    end, size = 0, len(data)
    try:
        while end < size:
            key, start = _varint(data, end)
            kind = key & 7
            if kind == DELIMITED:
                length, start = _varint(data, start)
                end = start + length
            elif kind == VARINT:
                _, end = _varint(data, start)
            else:
                end = start + _FIXED_LENGTHS[kind]
            yield key >> 3, start, end
    except (IndexError, KeyError):
        raise WireError("not a request: malformed fields") from None
    if end > size:
        raise WireError("not a request: a field runs past the end")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        if byte < 0x80:
            return value | byte << shift, position
        if shift > 56:
            raise IndexError
        value |= (byte & 0x7F) << shift
        shift += 7
