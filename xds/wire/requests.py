"""Partial decoding of discovery requests: only the fields a server uses; the rest is stepped over.

Envoy's ``Node`` is 61 KB, nearly all of it a list of 516 extensions that no server reads.

Theory of operation. ``_Fields`` walks a message once and keeps the values of the fields it is asked for,
still encoded, in the order in which they came. What protobuf says about fields that come more than once is
then easily kept: of scalars the last counts, lists take them all, and a submessage in several pieces is the
message of those pieces concatenated. A member of a oneof forgets the other members before it.

Follows https://protobuf.dev/programming-guides/encoding/, and is stricter in one place: a field of ours with
a wire type that is not its own is an error, not an unknown field. Everything that is wrong is a
``WireError``.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

from .splice import WireType

_T = TypeVar("_T")
_Decode = Callable[[bytes, str], _T]
"""From the bytes of a submessage and its path to what it means."""

_MAX_NESTING = 50
"""Of lists and objects in ``Node.metadata``; Envoy's own parser stops at 50 lists or 33 objects."""

_MAX_FIELD_NUMBER = (1 << 29) - 1
_MAX_VARINT_LENGTH = 10
_UINT64_MAX = (1 << 64) - 1
_FIXED_LENGTHS = {int(WireType.FIXED64): 8, int(WireType.FIXED32): 4}
_DOUBLE = struct.Struct("<d")


class WireError(ValueError):
    """These bytes are not the message they should be; says what is wrong, in which field, and where."""


@dataclass(frozen=True, slots=True)
class Locality:
    """Where a node runs (``envoy.config.core.v3.Locality``)."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """Who sends a request (``envoy.config.core.v3.Node``).

    ``metadata`` is the ``Struct`` as plain Python: dict, list, str, float, bool, None.
    ``user_agent_version`` is a build version as ``major.minor.patch`` when the client sends one.
    """

    id: str = ""
    cluster: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    locality: Locality | None = None
    user_agent_name: str = ""
    user_agent_version: str = ""
    client_features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Why a client rejected a response (``google.rpc.Status``, without details)."""

    code: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """``envoy.service.discovery.v3.DeltaDiscoveryRequest``; a NACK is an ``error`` that is not None."""

    node: Node | None = None
    type_url: str = ""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_resource_versions: Mapping[str, str] = field(default_factory=dict)
    response_nonce: str = ""
    error: Status | None = None


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """``envoy.service.discovery.v3.DiscoveryRequest``; a NACK is an ``error`` that is not None."""

    version_info: str = ""
    node: Node | None = None
    resource_names: tuple[str, ...] = ()
    type_url: str = ""
    response_nonce: str = ""
    error: Status | None = None


def decode_delta_request(data: bytes) -> DeltaRequest:
    """Decode a delta request. Raises ``WireError``."""
    fields = _Fields(data, "DeltaDiscoveryRequest", _DELTA_REQUEST)
    return DeltaRequest(
        node=fields.message("node", _node),
        type_url=fields.string("type_url"),
        subscribe=fields.strings("resource_names_subscribe"),
        unsubscribe=fields.strings("resource_names_unsubscribe"),
        initial_resource_versions=dict(fields.messages("initial_resource_versions", _version)),
        response_nonce=fields.string("response_nonce"),
        error=fields.message("error_detail", _status),
    )


def decode_sotw_request(data: bytes) -> SotwRequest:
    """Decode a state-of-the-world request. Raises ``WireError``."""
    fields = _Fields(data, "DiscoveryRequest", _SOTW_REQUEST)
    return SotwRequest(
        version_info=fields.string("version_info"),
        node=fields.message("node", _node),
        resource_names=fields.strings("resource_names"),
        type_url=fields.string("type_url"),
        response_nonce=fields.string("response_nonce"),
        error=fields.message("error_detail", _status),
    )


def _version(data: bytes, path: str) -> tuple[str, str]:
    fields = _Fields(data, path, _MAP_ENTRY)
    return fields.string("key"), fields.string("value")


def _status(data: bytes, path: str) -> Status:
    fields = _Fields(data, path, _STATUS)
    code = fields.integer("code") & 0xFFFFFFFF
    return Status(code - (1 << 32) if code >> 31 else code, fields.string("message"))


def _node(data: bytes, path: str) -> Node:
    fields = _Fields(data, path, _NODE)
    return Node(
        id=fields.string("id"),
        cluster=fields.string("cluster"),
        metadata=fields.message("metadata", _struct) or {},
        locality=fields.message("locality", _locality),
        user_agent_name=fields.string("user_agent_name"),
        user_agent_version=fields.message("user_agent_build_version", _build_version)
        or fields.string("user_agent_version"),
        client_features=fields.strings("client_features"),
    )


def _locality(data: bytes, path: str) -> Locality:
    fields = _Fields(data, path, _LOCALITY)
    return Locality(fields.string("region"), fields.string("zone"), fields.string("sub_zone"))


def _build_version(data: bytes, path: str) -> str:
    return _Fields(data, path, _BUILD_VERSION).message("version", _semantic_version) or ""


def _semantic_version(data: bytes, path: str) -> str:
    fields = _Fields(data, path, _SEMANTIC_VERSION)
    numbers = (fields.integer(name) & 0xFFFFFFFF for name in ("major_number", "minor_number", "patch"))
    return ".".join(map(str, numbers))


def _struct(data: bytes, path: str, depth: int = 0) -> dict[str, object]:
    def entry(data: bytes, path: str) -> tuple[str, object]:
        fields = _Fields(data, path, _MAP_ENTRY)
        return fields.string("key"), fields.message("value", partial(_value, depth=depth + 1))

    return dict(_Fields(data, path, _STRUCT).messages("fields", entry))


def _list(data: bytes, path: str, depth: int) -> list[object]:
    return list(_Fields(data, path, _LIST_VALUE).messages("values", partial(_value, depth=depth + 1)))


def _value(data: bytes, path: str, depth: int) -> object:
    if depth > _MAX_NESTING:
        raise WireError(f"{path}: nested more than {_MAX_NESTING} deep")
    fields = _Fields(data, path, _VALUE)
    match fields.which():
        case "number_value":
            return fields.double("number_value")
        case "string_value":
            return fields.string("string_value")
        case "bool_value":
            return fields.integer("bool_value") != 0
        case "struct_value":
            return fields.message("struct_value", partial(_struct, depth=depth))
        case "list_value":
            return fields.message("list_value", partial(_list, depth=depth))
        case _:
            return None


class _Schema(NamedTuple):
    """The fields of a message that are read: number → name and wire type. At most one oneof."""

    fields: Mapping[int, tuple[str, WireType]]
    oneof: frozenset[str] = frozenset()


def _delimited(**numbers: int) -> dict[int, tuple[str, WireType]]:
    return {number: (name, WireType.DELIMITED) for name, number in numbers.items()}


def _varints(**numbers: int) -> dict[int, tuple[str, WireType]]:
    return {number: (name, WireType.VARINT) for name, number in numbers.items()}


_DELTA_REQUEST = _Schema(
    _delimited(
        node=1,
        type_url=2,
        resource_names_subscribe=3,
        resource_names_unsubscribe=4,
        initial_resource_versions=5,
        response_nonce=6,
        error_detail=7,
    )
)
_SOTW_REQUEST = _Schema(
    _delimited(version_info=1, node=2, resource_names=3, type_url=4, response_nonce=5, error_detail=6)
)
_NODE = _Schema(
    _delimited(
        id=1,
        cluster=2,
        metadata=3,
        locality=4,
        user_agent_name=6,
        user_agent_version=7,
        user_agent_build_version=8,
        client_features=10,
    ),
    oneof=frozenset({"user_agent_version", "user_agent_build_version"}),
)
_LOCALITY = _Schema(_delimited(region=1, zone=2, sub_zone=3))
_BUILD_VERSION = _Schema(_delimited(version=1))
_SEMANTIC_VERSION = _Schema(_varints(major_number=1, minor_number=2, patch=3))
_STATUS = _Schema(_varints(code=1) | _delimited(message=2))
_MAP_ENTRY = _Schema(_delimited(key=1, value=2))
_STRUCT = _Schema(_delimited(fields=1))
_LIST_VALUE = _Schema(_delimited(values=1))
_VALUE_KINDS = (
    _varints(null_value=1, bool_value=4)
    | {2: ("number_value", WireType.FIXED64)}
    | _delimited(string_value=3, struct_value=5, list_value=6)
)
_VALUE = _Schema(_VALUE_KINDS, oneof=frozenset(name for name, _ in _VALUE_KINDS.values()))


class _Fields:
    """The values of the fields in a schema that a message has; ``path`` is for error messages."""

    def __init__(self, data: bytes, path: str, schema: _Schema) -> None:
        self._path = path
        self._oneof = schema.oneof
        self._values: dict[str, list[Any]] = {}
        for number, wire_type, value in _walk(data, path):
            known = schema.fields.get(number)
            if known is None:
                continue
            name, expected = known
            if wire_type != expected:
                raise WireError(f"{path}.{name}: wire type {wire_type}, not {expected.value}")
            if name in schema.oneof:
                self._forget(schema.oneof - {name})
            self._values.setdefault(name, []).append(value)

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._values.pop(name, None)

    def which(self) -> str | None:
        """The member of the oneof that is set."""
        return next((name for name in self._oneof if name in self._values), None)

    def integer(self, name: str) -> int:
        """The last value of a varint field, as 64 unsigned bits."""
        return int(self._values[name][-1]) if name in self._values else 0

    def double(self, name: str) -> float:
        """The last value of a double field."""
        return float(_DOUBLE.unpack(self._values[name][-1])[0]) if name in self._values else 0.0

    def string(self, name: str) -> str:
        """The last value of a string field; all of them have to be UTF-8."""
        return self.strings(name)[-1] if name in self._values else ""

    def strings(self, name: str) -> tuple[str, ...]:
        """All values of a string field."""
        try:
            return tuple([value.decode() for value in self._values.get(name, ())])
        except UnicodeDecodeError as error:
            raise WireError(f"{self._path}.{name}: not UTF-8: {error.reason}") from None

    def message(self, name: str, decode: "_Decode[_T]") -> "_T | None":
        """A submessage, put together from all its pieces; None if there is none."""
        pieces = self._values.get(name)
        return None if pieces is None else decode(b"".join(pieces), f"{self._path}.{name}")

    def messages(self, name: str, decode: "_Decode[_T]") -> "Iterator[_T]":
        """All values of a repeated submessage."""
        path = f"{self._path}.{name}"
        return (decode(value, path) for value in self._values.get(name, ()))


def _walk(data: bytes, path: str) -> Iterator[tuple[int, int, int | bytes]]:
    """Split a message into field number, wire type and value: an integer for a varint, else bytes."""
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = _read_varint(data, position, path)
        number, wire_type = key >> 3, key & 7
        if not 0 < number <= _MAX_FIELD_NUMBER:
            raise WireError(f"{path}: field number {number} at byte {start}")
        if wire_type == WireType.VARINT:
            value, position = _read_varint(data, position, path)
            yield number, wire_type, value
            continue
        if wire_type == WireType.DELIMITED:
            length, position = _read_varint(data, position, path)
        elif wire_type in _FIXED_LENGTHS:
            length = _FIXED_LENGTHS[wire_type]
        else:
            raise WireError(f"{path}: unsupported wire type {wire_type} of field {number} at byte {start}")
        if length > end - position:
            raise WireError(
                f"{path}: field {number} at byte {start} wants {length} bytes, {end - position} are left"
            )
        yield number, wire_type, data[position : position + length]
        position += length


def _read_varint(data: bytes, position: int, path: str) -> tuple[int, int]:
    """Read at most ten bytes, of which 64 bits count; return the value and the position after it."""
    value = 0
    for shift, byte in enumerate(data[position : position + _MAX_VARINT_LENGTH]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & _UINT64_MAX, position + shift + 1
    if position + _MAX_VARINT_LENGTH > len(data):
        raise WireError(f"{path}: ends inside the varint at byte {position}")
    raise WireError(f"{path}: varint of more than {_MAX_VARINT_LENGTH} bytes at byte {position}")
