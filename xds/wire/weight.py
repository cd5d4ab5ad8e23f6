"""How much work a request will be, found out before the work is done."""

from typing import NamedTuple

from .reader import boundaries
from .splice import DELIMITED

_METADATA = 3  # of Node


class Weight(NamedTuple):
    """The fields of a request, its node's included, and the size of its node's metadata in bytes."""

    fields: int
    metadata_bytes: int


def weigh(data: bytes, node_field: int, most: int) -> Weight:
    """Weigh an encoded request whose node is field ``node_field``, up to a little more than ``most`` fields.

    Decoding costs time by the field, not by the byte. Raises ``WireError``.
    """
    fields = metadata = 0
    for number, wire_type, start, end in boundaries(data, "request"):
        fields += 1
        if number == node_field and wire_type == DELIMITED:
            for inner, _, inner_start, inner_end in boundaries(data[start:end], "request.node"):
                fields += 1
                if inner == _METADATA:
                    metadata += inner_end - inner_start
                if fields > most:
                    break
        if fields > most:
            break
    return Weight(fields, metadata)
