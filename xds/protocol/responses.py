"""Responses as bytes, without their nonces (``discovery.proto``).

Streams of one view are often sent the same content. Its bytes are kept and used again: the whole response
but for the nonce, which is appended (fields of a message may come in any order).
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from xds.cache import Resource
from xds.protocol.features import Features
from xds.wire import delimited, varint

ABSENT = "absent"
"""The version of a virtual host that is not there: Envoy is told so by a resource without a body."""

_KEPT_BYTES = 8 << 20
"""Bytes of encoded responses that are kept for the next stream."""

_WRAPPER = "type.googleapis.com/envoy.service.discovery.v3.Resource"
_NOT_FOUND = 5


class ResponseContent(NamedTuple):
    """What one response says.

    ``versions`` (delta only) are those of ``resources``. ``gone`` (delta only) are removed. ``unknown`` are
    told as errors. ``absent`` (delta only) are told as resources without a body. Of ``renewed`` (delta only)
    only the time to live is told.
    """

    type_url: str
    version: str
    features: Features
    resources: tuple[Resource, ...] = ()
    versions: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    renewed: tuple[Resource, ...] = ()


Fields = Mapping[Resource, bytes]
"""Resources, encoded as they stand in a response."""

_NO_FIELDS: Fields = {}


class _Memoized:
    """A function that keeps its last results, up to a size in bytes."""

    def __init__(self, encode: Callable[[ResponseContent, Fields], bytes]) -> None:
        self._encode = encode
        # By content, the last used at the end; and the bytes of all of them. Written by ``__call__``.
        self._made: OrderedDict[Hashable, bytes] = OrderedDict()
        self._size = 0

    def __call__(self, content: ResponseContent, fields: Fields = _NO_FIELDS) -> bytes:
        made = self._made.get(content)
        if made is not None:
            self._made.move_to_end(content)
            return made
        made = self._made[content] = self._encode(content, fields)
        self._size += len(made)
        while self._size > _KEPT_BYTES and len(self._made) > 1:
            self._size -= len(self._made.popitem(last=False)[1])
        return made


@_Memoized
def delta_response(content: ResponseContent, _: Fields = _NO_FIELDS) -> bytes:
    """Encode a ``DeltaDiscoveryResponse``."""
    ttl = content.features.ttl
    return b"".join(
        [
            delimited(1, content.version.encode()),
            delimited(4, content.type_url.encode()),
            *(
                delimited(2, _resource(each, version, ttl=ttl))
                for each, version in zip(content.resources, content.versions, strict=True)
            ),
            *(delimited(2, _resource(each, each.version, ttl=ttl, body=False)) for each in content.renewed),
            *(delimited(2, _absent(name)) for name in content.absent),
            *(delimited(6, name.encode()) for name in content.gone),
            *(delimited(9, _unknown(name)) for name in content.unknown),
        ]
    )


@_Memoized
def sotw_response(content: ResponseContent, fields: Fields = _NO_FIELDS) -> bytes:
    """Encode a ``DiscoveryResponse``; ``fields`` are those of its resources that are encoded already."""
    ttl = content.features.ttl
    return b"".join(
        [
            delimited(1, content.version.encode()),
            delimited(4, content.type_url.encode()),
            *(fields.get(each) or sotw_field(each, ttl=ttl) for each in content.resources),
            *(delimited(7, _unknown(name)) for name in content.unknown),
        ]
    )


def sotw_field(resource: Resource, *, ttl: bool) -> bytes:
    """Encode a resource as it stands in a ``DiscoveryResponse``."""
    return delimited(2, _wrapped(resource) if ttl and resource.ttl else _any(resource))


def _resource(resource: Resource, version: str, *, ttl: bool, body: bool = True) -> bytes:
    parts = [
        delimited(3, resource.name.encode()),
        delimited(1, version.encode()),
        *(delimited(4, alias.encode()) for alias in resource.aliases),
    ]
    if body:
        parts.append(delimited(2, _any(resource)))
    if ttl and resource.ttl:
        parts.append(delimited(6, _duration(resource.ttl)))
    return b"".join(parts)


def _absent(name: str) -> bytes:
    return delimited(3, name.encode()) + delimited(1, ABSENT.encode()) + delimited(4, name.encode())


def _wrapped(resource: Resource) -> bytes:
    return delimited(1, _WRAPPER.encode()) + delimited(2, _resource(resource, resource.version, ttl=True))


def _any(resource: Resource) -> bytes:
    return delimited(1, resource.type_url.encode()) + delimited(2, resource.body)


def _duration(seconds: float) -> bytes:
    whole, nanos = divmod(round(seconds * 1e9), 10**9)
    return b"\x08" + varint(whole) + b"\x10" + varint(nanos)


def _unknown(name: str) -> bytes:
    """Encode a ``ResourceError``."""
    status = b"\x08" + varint(_NOT_FOUND) + delimited(2, b"there is no such resource")
    return delimited(1, delimited(1, name.encode())) + delimited(2, status)
