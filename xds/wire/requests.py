"""Discovery requests, decoded by protobuf's C runtime (upb) as far as a server reads them.

The messages below have only the fields that are read, under the numbers of Envoy's own messages. upb skips
all others: Envoy's ``Node`` is 61 KB, nearly all of it 516 extensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.message import DecodeError


class WireError(ValueError):
    """Bytes that are not the message that they should be."""


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
    """Decode a ``DeltaDiscoveryRequest``. Raise ``WireError``."""
    request = _parse("DeltaDiscoveryRequest", data)
    subscribe, unsubscribe = request.resource_names_subscribe, request.resource_names_unsubscribe
    return DeltaRequest(
        node=_node(request.node) if request.HasField("node") else None,
        type_url=request.type_url,
        subscribe=(*subscribe, *(each.name for each in request.resource_locators_subscribe)),
        unsubscribe=(*unsubscribe, *(each.name for each in request.resource_locators_unsubscribe)),
        initial_resource_versions=dict(request.initial_resource_versions),
        response_nonce=request.response_nonce,
        error=_status(request),
    )


def decode_sotw_request(data: bytes) -> SotwRequest:
    """Decode a ``DiscoveryRequest``. Raise ``WireError``."""
    request = _parse("DiscoveryRequest", data)
    return SotwRequest(
        version_info=request.version_info,
        node=_node(request.node) if request.HasField("node") else None,
        resource_names=(*request.resource_names, *(each.name for each in request.resource_locators)),
        type_url=request.type_url,
        response_nonce=request.response_nonce,
        error=_status(request),
    )


def decode_node(data: bytes) -> Node:
    """Decode a ``Node``. Raise ``WireError``."""
    return _node(_parse("Node", data))


def _parse(name: str, data: bytes) -> Any:
    try:
        return _CLASSES[name].FromString(data)
    except DecodeError as error:
        raise WireError(f"not a {name}: {error}") from None


def _status(request: Any) -> Status | None:
    error = request.error_detail
    return Status(error.code, error.message) if request.HasField("error_detail") else None


def _node(node: Any) -> Node:
    return Node(
        id=node.id,
        cluster=node.cluster,
        metadata=_struct(node.metadata),
        locality=_locality(node.locality) if node.HasField("locality") else None,
        user_agent_name=node.user_agent_name,
        user_agent_version=node.user_agent_version or _build_version(node.user_agent_build_version),
        client_features=tuple(node.client_features),
    )


def _locality(locality: Any) -> Locality:
    return Locality(locality.region, locality.zone, locality.sub_zone)


def _build_version(build: Any) -> str:
    if not build.HasField("version"):
        return ""
    return f"{build.version.major_number}.{build.version.minor_number}.{build.version.patch}"


def _struct(struct: Any) -> dict[str, object]:
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Any) -> object:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _struct(value.struct_value)
        case "list_value":
            return [_value(each) for each in value.list_value.values]
        case "number_value" | "string_value" | "bool_value" as kind:
            return getattr(value, kind)
        case _:
            return None


# Of each message its fields: "repeated" if there may be several, type, name, number; "map" is from string to
# string.
_MESSAGES = {
    "DeltaDiscoveryRequest": """
        Node node 1
        string type_url 2
        repeated string resource_names_subscribe 3
        repeated string resource_names_unsubscribe 4
        map initial_resource_versions 5
        string response_nonce 6
        Status error_detail 7
        repeated ResourceLocator resource_locators_subscribe 8
        repeated ResourceLocator resource_locators_unsubscribe 9""",
    "DiscoveryRequest": """
        string version_info 1
        Node node 2
        repeated string resource_names 3
        string type_url 4
        string response_nonce 5
        Status error_detail 6
        repeated ResourceLocator resource_locators 7""",
    "ResourceLocator": """
        string name 1""",
    "Node": """
        string id 1
        string cluster 2
        google.protobuf.Struct metadata 3
        Locality locality 4
        string user_agent_name 6
        string user_agent_version 7
        BuildVersion user_agent_build_version 8
        repeated string client_features 10""",
    "Locality": """
        string region 1
        string zone 2
        string sub_zone 3""",
    "BuildVersion": """
        SemanticVersion version 1""",
    "SemanticVersion": """
        uint32 major_number 1
        uint32 minor_number 2
        uint32 patch 3""",
    "Status": """
        int32 code 1
        string message 2""",
}
_PACKAGE = "grayplane.requests"
_ONEOF = {"user_agent_version", "user_agent_build_version"}


def _classes() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="grayplane/requests.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[struct_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in fields.strip().splitlines():
            _add_field(message, *line.split())
    pool = descriptor_pool.Default()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _add_field(message: descriptor_pb2.DescriptorProto, *words: str) -> None:
    *repeated, kind, name, number = words
    types = descriptor_pb2.FieldDescriptorProto
    field = message.field.add(name=name, number=int(number), label=types.LABEL_OPTIONAL)
    if repeated or kind == "map":
        field.label = types.LABEL_REPEATED
    if kind == "map":
        entry = message.nested_type.add(name="InitialResourceVersionsEntry")
        entry.options.map_entry = True
        _add_field(entry, "string", "key", "1")
        _add_field(entry, "string", "value", "2")
        kind = f"{_PACKAGE}.{message.name}.{entry.name}"
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = types.TYPE_MESSAGE
        field.type_name = f".{kind}" if "." in kind else f".{_PACKAGE}.{kind}"
    if name in _ONEOF:
        if not message.oneof_decl:
            message.oneof_decl.add(name="user_agent_version_type")
        field.oneof_index = 0


_SCALARS = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
}
_CLASSES = _classes()
