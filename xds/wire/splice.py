"""The pieces of the protobuf wire format that bytes are put together from.

Encoded messages concatenate: the bytes of two partial messages, one after the other, are one message with
the fields of both. So a field can be appended to a message that is already encoded (a nonce to a response,
an endpoint to an assignment) without decoding it.

Follows https://protobuf.dev/programming-guides/encoding/.
"""

from functools import lru_cache

# Wire types, the lowest three bits of a tag: how the end of a value is found.
VARINT = 0
FIXED64 = 1
DELIMITED = 2
FIXED32 = 5

_SINGLE_BYTES = tuple(bytes([n]) for n in range(0x80))


def varint(n: int) -> bytes:
    """Encode an integer in groups of seven bits; a negative one as its 64-bit two's complement."""
    if 0 <= n < 0x80:
        return _SINGLE_BYTES[n]
    if not -1 << 63 <= n < 1 << 64:
        raise ValueError(f"{n} does not fit into 64 bits")
    if n < 0:
        n += 1 << 64
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def tag(field_number: int, wire_type: int) -> bytes:
    """Encode what stands before the value of a field."""
    return varint(field_number << 3 | wire_type)


_DELIMITED_TAGS = tuple(tag(number, DELIMITED) for number in range(16))


_length = lru_cache(1 << 14)(varint)  # lengths come again and again, and nearly all are short


def prefixed(payload: bytes) -> bytes:
    """Encode the value of a length-delimited field: a string, bytes or an encoded message."""
    return _length(len(payload)) + payload


def delimited(field_number: int, payload: bytes) -> bytes:
    """Encode a whole length-delimited field, ready to be appended to an encoded message."""
    known = field_number < len(_DELIMITED_TAGS)
    key = _DELIMITED_TAGS[field_number] if known else tag(field_number, DELIMITED)
    return b"".join((key, _length(len(payload)), payload))
