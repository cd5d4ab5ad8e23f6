"""Reading some fields of an encoded message, and stepping over the others without looking into them.

Theory of operation. A message is walked once: ``boundaries`` says where each field's value begins and ends,
and ``Fields`` keeps, still encoded, the values of the fields that its schema names. With that, what protobuf
says about fields that come more than once is easily kept: of scalars the last counts, a list takes them all,
a submessage that comes in pieces is the message of those pieces concatenated, and a member of a oneof forgets
the members before it. A known field with another wire type than its own is an error here, where protobuf's
parsers take it for an unknown one.

Follows https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from .splice import DELIMITED, FIXED32, FIXED64, VARINT

_T = TypeVar("_T")
Decode = Callable[[bytes, str], _T]
"""From the bytes of a submessage, and its path for error messages, to what it means."""

_MAX_FIELD_NUMBER = (1 << 29) - 1
_ONE_BYTE = 0x80
"""Varints below this take one byte, as nearly all do; a call for each would cost more than reading it."""
_VARINT_SHIFTS = range(7, 70, 7)
_UINT64_MAX = (1 << 64) - 1
_FIXED_LENGTHS = {FIXED64: 8, FIXED32: 4}
_DOUBLE = struct.Struct("<d")


class WireError(ValueError):
    """Bytes that are not the message they should be: in which field, at which byte of it, what is wrong."""


class Schema(NamedTuple):
    """The fields to read of a message: number → name and wire type. At most one oneof, as names."""

    fields: Mapping[int, tuple[str, int]]
    oneof: frozenset[str] = frozenset()


class Fields:
    """What a message holds of the fields in a schema. Absent fields read as zero or empty.

    ``path`` names the message in errors. The constructor raises ``WireError``, and so do the readers.
    """

    def __init__(self, data: bytes, path: str, schema: Schema) -> None:
        self._path = path
        self._oneof = schema.oneof
        self._values: dict[str, list[bytes]] = {}
        for number, wire_type, start, end in boundaries(data, path):
            if field := schema.fields.get(number):
                name, expected = field
                if wire_type != expected:
                    raise WireError(f"{path}.{name}: wire type {wire_type}, must be {expected}")
                if name in schema.oneof:
                    self._forget(schema.oneof - {name})
                self._values.setdefault(name, []).append(data[start:end])

    def _forget(self, names: frozenset[str]) -> None:
        for name in names:
            self._values.pop(name, None)

    def which(self) -> str | None:
        """Name of the oneof's member that is there."""
        return next((name for name in self._oneof if name in self._values), None)

    def integer(self, name: str) -> int:
        """Last value of a varint field, without its sign: as 64 unsigned bits."""
        return _read_varint(self._values[name][-1], 0, self._path)[0] if name in self._values else 0

    def double(self, name: str) -> float:
        """Last value of a double field."""
        value: float = _DOUBLE.unpack(self._values[name][-1])[0] if name in self._values else 0.0
        return value

    def string(self, name: str) -> str:
        """Last value of a string field; the ones before it must be UTF-8 too."""
        return self.strings(name)[-1] if name in self._values else ""

    def strings(self, name: str) -> tuple[str, ...]:
        """All values of a string field."""
        try:
            return tuple([value.decode() for value in self._values.get(name, ())])
        except UnicodeDecodeError as error:
            raise WireError(f"{self._path}.{name}: not UTF-8: {error.reason} at byte {error.start}") from None

    def message(self, name: str, decode: "Decode[_T]") -> "_T | None":
        """Submessage, put together from all its pieces; None when there is none."""
        pieces = self._values.get(name)
        return None if pieces is None else decode(b"".join(pieces), f"{self._path}.{name}")

    def messages(self, name: str, decode: "Decode[_T]") -> "Iterator[_T]":
        """All values of a repeated submessage."""
        path = f"{self._path}.{name}"
        return (decode(value, path) for value in self._values.get(name, ()))

    def string_map(self, name: str) -> dict[str, str]:
        """Entries of a map from strings to strings; of those with the same key the last counts."""
        path = f"{self._path}.{name}"
        try:
            return dict([_string_pair(entry, path) for entry in self._values.get(name, ())])
        except UnicodeDecodeError as error:
            raise WireError(f"{path}: not UTF-8: {error.object!r}") from None


MAP_ENTRY = Schema({1: ("key", DELIMITED), 2: ("value", DELIMITED)})
_KEY_TAG = 1 << 3 | DELIMITED
_VALUE_TAG = 2 << 3 | DELIMITED


def _string_pair(entry: bytes, path: str) -> tuple[str, str]:
    # Nearly all are short, and written key first: to walk through the fields would take five times as long.
    size = len(entry)
    middle = 2 + entry[1] if size > 1 else size
    if (
        middle + 1 < size
        and entry[0] == _KEY_TAG
        and entry[middle] == _VALUE_TAG
        and entry[1] < _ONE_BYTE > entry[middle + 1] == size - middle - 2
    ):
        return entry[2:middle].decode(), entry[middle + 2 :].decode()
    fields = Fields(entry, path, MAP_ENTRY)
    return fields.string("key"), fields.string("value")


def boundaries(data: bytes, path: str) -> Iterator[tuple[int, int, int, int]]:
    """Say field number, wire type, start and end of each value (without the length of a delimited one)."""
    size = len(data)
    end = 0
    while end < size:
        position = end
        key, start = data[position], position + 1
        if key >= _ONE_BYTE:
            key, start = _read_varint(data, position, path)
        number, wire_type = key >> 3, key & 7
        if not 0 < number <= _MAX_FIELD_NUMBER:
            raise WireError(f"{path}: field number {number} at byte {position}")
        if wire_type == DELIMITED:
            if start < size and data[start] < _ONE_BYTE:
                length, start = data[start], start + 1
            else:
                length, start = _read_varint(data, start, path)
            end = start + length
        elif wire_type == VARINT:
            end = _read_varint(data, start, path)[1]
        elif wire_type in _FIXED_LENGTHS:
            end = start + _FIXED_LENGTHS[wire_type]
        else:
            raise WireError(f"{path}: wire type {wire_type} of field {number} at byte {position}")
        if end > size:
            raise WireError(f"{path}: field {number} at byte {position} runs {end - size} bytes past the end")
        yield number, wire_type, start, end


def _read_varint(data: bytes, start: int, path: str) -> tuple[int, int]:
    """Read at most ten groups of seven bits; return the value and where it ends."""
    try:
        value, position = data[start], start + 1
        if value < _ONE_BYTE:
            return value, position
        value &= 0x7F
        for shift in _VARINT_SHIFTS:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < _ONE_BYTE and value <= _UINT64_MAX:
                return value, position
    except IndexError:
        raise WireError(f"{path}: ends inside the varint at byte {start}") from None
    raise WireError(f"{path}: varint of more than 64 bits at byte {start}")
