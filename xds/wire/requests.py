"""Discovery requests, decoded as far as a server reads them.

Envoy's ``Node`` is 61 KB, nearly all of it 516 extensions; decoding them costs more than everything else a
server does with a request, so they are stepped over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .reader import MAP_ENTRY, Fields, Schema, WireError
from .splice import DELIMITED, FIXED64, VARINT

_MAX_NESTING = 50
"""Of lists and objects in ``Node.metadata``: protobuf's parsers stop at 100 messages inside each other,
and each list is two of them, each object three."""


@dataclass(frozen=True, slots=True)
class Locality:
    """Where a node runs (``envoy.config.core.v3.Locality``)."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """Who sends a request (``envoy.config.core.v3.Node``).

    ``metadata`` is its ``Struct`` as plain Python: dict, list, str, float, bool, None.
    ``user_agent_version`` is ``major.minor.patch`` of the build version where the client sends one.
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
    """Why a client rejected a response (``google.rpc.Status`` without its details)."""

    code: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """``envoy.service.discovery.v3.DeltaDiscoveryRequest``. It is a NACK when ``error`` is not None.

    Names come in two fields each; of a locator the name is read and its dynamic parameters, which choose
    between variants of a resource, are not.
    """

    node: Node | None = None
    type_url: str = ""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_resource_versions: Mapping[str, str] = field(default_factory=dict)
    response_nonce: str = ""
    error: Status | None = None

    @property
    def asks(self) -> bool:
        """Whether it adds or takes away names; the first of its type on a stream may ask without."""
        return bool(self.subscribe or self.unsubscribe)


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """``envoy.service.discovery.v3.DiscoveryRequest``. It is a NACK when ``error`` is not None.

    Names come in two fields, as in ``DeltaRequest``.
    """

    version_info: str = ""
    node: Node | None = None
    resource_names: tuple[str, ...] = ()
    type_url: str = ""
    response_nonce: str = ""
    error: Status | None = None


def decode_delta_request(data: bytes) -> DeltaRequest:
    """Decode a ``DeltaDiscoveryRequest``. Raises ``WireError``."""
    fields = Fields(data, "DeltaDiscoveryRequest", _DELTA_REQUEST)
    return DeltaRequest(
        node=fields.message("node", _node),
        type_url=fields.string("type_url"),
        subscribe=(
            *fields.strings("resource_names_subscribe"),
            *fields.messages("resource_locators_subscribe", _locator),
        ),
        unsubscribe=(
            *fields.strings("resource_names_unsubscribe"),
            *fields.messages("resource_locators_unsubscribe", _locator),
        ),
        initial_resource_versions=fields.string_map("initial_resource_versions"),
        response_nonce=fields.string("response_nonce"),
        error=fields.message("error_detail", _status),
    )


def decode_sotw_request(data: bytes) -> SotwRequest:
    """Decode a ``DiscoveryRequest``. Raises ``WireError``."""
    fields = Fields(data, "DiscoveryRequest", _SOTW_REQUEST)
    return SotwRequest(
        version_info=fields.string("version_info"),
        node=fields.message("node", _node),
        resource_names=(
            *fields.strings("resource_names"),
            *fields.messages("resource_locators", _locator),
        ),
        type_url=fields.string("type_url"),
        response_nonce=fields.string("response_nonce"),
        error=fields.message("error_detail", _status),
    )


def _locator(data: bytes, path: str) -> str:
    return Fields(data, path, _LOCATOR).string("name")


def _status(data: bytes, path: str) -> Status:
    fields = Fields(data, path, _STATUS)
    code = fields.integer("code") & 0xFFFF_FFFF
    return Status(code - (1 << 32) if code >> 31 else code, fields.string("message"))


def _node(data: bytes, path: str) -> Node:
    fields = Fields(data, path, _NODE)
    return Node(
        id=fields.string("id"),
        cluster=fields.string("cluster"),
        metadata=fields.message("metadata", _metadata) or {},
        locality=fields.message("locality", _locality),
        user_agent_name=fields.string("user_agent_name"),
        user_agent_version=fields.string("user_agent_version")
        or fields.message("user_agent_build_version", _build_version)
        or "",
        client_features=fields.strings("client_features"),
    )


def _locality(data: bytes, path: str) -> Locality:
    fields = Fields(data, path, _LOCALITY)
    return Locality(fields.string("region"), fields.string("zone"), fields.string("sub_zone"))


def _build_version(data: bytes, path: str) -> str:
    return Fields(data, path, _BUILD_VERSION).message("version", _semantic_version) or ""


def _semantic_version(data: bytes, path: str) -> str:
    fields = Fields(data, path, _SEMANTIC_VERSION)
    numbers = [fields.integer(name) & 0xFFFF_FFFF for name in ("major_number", "minor_number", "patch")]
    return ".".join(map(str, numbers))


def _metadata(data: bytes, path: str) -> dict[str, object]:
    return _struct(data, path, depth=1)


# Inside metadata the path of errors stays that of the metadata: one per value would cost more than the value.


def _struct(data: bytes, path: str, depth: int) -> dict[str, object]:
    def entry(data: bytes, _: str) -> tuple[str, object]:
        fields = Fields(data, path, MAP_ENTRY)
        return fields.string("key"), fields.message("value", value)

    def value(data: bytes, _: str) -> object:
        return _value(data, path, depth)

    return dict(Fields(data, path, _STRUCT).messages("fields", entry))


def _list(data: bytes, path: str, depth: int) -> list[object]:
    def value(data: bytes, _: str) -> object:
        return _value(data, path, depth)

    return list(Fields(data, path, _LIST).messages("values", value))


def _value(data: bytes, path: str, depth: int) -> object:
    if depth > _MAX_NESTING:
        raise WireError(f"{path}: values nested more than {_MAX_NESTING} deep")
    fields = Fields(data, path, _VALUE)
    match fields.which():
        case "number_value":
            return fields.double("number_value")
        case "string_value":
            return fields.string("string_value")
        case "bool_value":
            return fields.integer("bool_value") != 0
        case "struct_value":
            return fields.message("struct_value", lambda struct, _: _struct(struct, path, depth + 1))
        case "list_value":
            return fields.message("list_value", lambda values, _: _list(values, path, depth + 1))
        case _:
            return None


def _delimited(**numbers: int) -> dict[int, tuple[str, int]]:
    return {number: (name, DELIMITED) for name, number in numbers.items()}


def _varints(**numbers: int) -> dict[int, tuple[str, int]]:
    return {number: (name, VARINT) for name, number in numbers.items()}


_DELTA_REQUEST = Schema(
    _delimited(
        node=1,
        type_url=2,
        resource_names_subscribe=3,
        resource_names_unsubscribe=4,
        initial_resource_versions=5,
        response_nonce=6,
        error_detail=7,
        resource_locators_subscribe=8,
        resource_locators_unsubscribe=9,
    )
)
_SOTW_REQUEST = Schema(
    _delimited(
        version_info=1,
        node=2,
        resource_names=3,
        type_url=4,
        response_nonce=5,
        error_detail=6,
        resource_locators=7,
    )
)
_LOCATOR = Schema(_delimited(name=1))
_NODE = Schema(
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
_LOCALITY = Schema(_delimited(region=1, zone=2, sub_zone=3))
_BUILD_VERSION = Schema(_delimited(version=1))
_SEMANTIC_VERSION = Schema(_varints(major_number=1, minor_number=2, patch=3))
_STATUS = Schema(_varints(code=1) | _delimited(message=2))
_STRUCT = Schema(_delimited(fields=1))
_LIST = Schema(_delimited(values=1))
_VALUE_KINDS = (
    _varints(null_value=1, bool_value=4)
    | {2: ("number_value", FIXED64)}
    | _delimited(string_value=3, struct_value=5, list_value=6)
)
_VALUE = Schema(_VALUE_KINDS, oneof=frozenset(name for name, _ in _VALUE_KINDS.values()))
