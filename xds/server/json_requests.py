"""Discovery requests in protobuf's JSON mapping, read as far as a server needs.

Field names come as in the ``.proto`` file, as Envoy writes them, or in lower camel case; both are read.
"""

import json
from collections.abc import Mapping
from typing import TypeVar

from xds.server.errors import exhausted, invalid
from xds.server.limits import Limits
from xds.wire import Locality, Node, SotwRequest

T = TypeVar("T")


def read_request(body: bytes, limits: Limits) -> SotwRequest:
    """Read a ``DiscoveryRequest``. Raise ``StreamError`` if it is none, or there is too much of it."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise invalid("the body is not a JSON object")
    names = _get(request, "resource_names", list) or []
    if not all(isinstance(name, str) for name in names):
        raise invalid("resource_names must be strings")
    if len(names) > limits.names:
        raise exhausted(f"a request with more than {limits.names} resource names")
    node = _get(request, "node", dict)
    if node and len(json.dumps(_get(node, "metadata", dict) or {})) > limits.metadata_bytes:
        raise exhausted(f"node.metadata has more than {limits.metadata_bytes} bytes")
    return SotwRequest(
        version_info=_text(request, "version_info"),
        node=_node(node) if node else None,
        resource_names=tuple(names),
        type_url=_text(request, "type_url"),
    )


def _node(node: Mapping[str, object]) -> Node:
    locality = _get(node, "locality", dict)
    features = _get(node, "client_features", list) or []
    return Node(
        id=_text(node, "id"),
        cluster=_text(node, "cluster"),
        metadata=_get(node, "metadata", dict) or {},
        locality=_locality(locality) if locality else None,
        user_agent_name=_text(node, "user_agent_name"),
        user_agent_version=_text(node, "user_agent_version"),
        client_features=tuple(str(feature) for feature in features),
    )


def _locality(locality: Mapping[str, object]) -> Locality:
    return Locality(_text(locality, "region"), _text(locality, "zone"), _text(locality, "sub_zone"))


def _text(message: Mapping[str, object], field: str) -> str:
    return _get(message, field, str) or ""


def _get(message: Mapping[str, object], field: str, kind: type[T]) -> T | None:
    first, *rest = field.split("_")
    camel = first + "".join(map(str.capitalize, rest))
    value = message.get(field, message.get(camel))
    if value is None or isinstance(value, kind):
        return value
    raise invalid(f"{field} must be {_JSON_KINDS[kind]}")


_JSON_KINDS: Mapping[type, str] = {str: "a string", list: "an array", dict: "an object"}
