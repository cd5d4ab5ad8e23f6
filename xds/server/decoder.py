"""From the bytes of a request to a request within the limits, without holding up the event loop."""

import asyncio
import dataclasses
from concurrent.futures import Executor
from functools import lru_cache

from xds.protocol import DELTA
from xds.protocol.variants import Request
from xds.server.errors import StreamError, exhausted, invalid
from xds.server.limits import Limits
from xds.server.services import DiscoveryMethod
from xds.wire import DeltaRequest, Status, WireError
from xds.wire.weight import weigh

_TINY = 256
"""Bytes of a request that is remembered once decoded: streams in step with one view acknowledge the same
responses with the same bytes."""
_REMEMBERED = 1_024
"""Tiny requests of one method that are remembered, the last ones."""
_SMALL = 64 << 10
"""Bytes of a request that is decoded in the event loop, whatever is in it: a few milliseconds at most."""
_NODE_FIELDS = 10_000
"""Fields that a node may have, its extensions most of all; Envoy 1.40 has 516 of those."""
_MAX_REASON = 4_000
"""Characters of a client's reason for a rejection; it is logged and kept."""


class RequestDecoder:
    """Decodes the requests of one method. Large ones are decoded in a thread of ``executor``."""

    def __init__(self, method: DiscoveryMethod, limits: Limits, executor: Executor) -> None:
        self.method = method
        self._node_field = 1 if method.variant is DELTA else 2
        self._limits = limits
        self._executor = executor
        self._decode_tiny = lru_cache(_REMEMBERED)(self._decode)

    async def decode(self, data: bytes) -> Request:
        """Decode a request. Raise ``StreamError`` if it is malformed, of the wrong type or too large."""
        request = self.decode_small(data)
        if request is None:
            loop = asyncio.get_running_loop()
            request = await loop.run_in_executor(self._executor, self._decode_large, data)
        return request

    def decode_small(self, data: bytes) -> Request | None:
        """Decode a request at once; return None if it is too large for that. Raise ``StreamError``."""
        if len(data) <= _TINY:
            return self._decode_tiny(data)
        return self._decode(data) if len(data) <= min(_SMALL, self._limits.metadata_bytes) else None

    def _decode_large(self, data: bytes) -> Request:
        most = 2 * self._limits.names + _NODE_FIELDS
        try:
            weight = weigh(data, self._node_field, most)
        except WireError as error:
            raise _malformed(error) from error
        if weight.metadata_bytes > self._limits.metadata_bytes:
            raise exhausted(
                f"node.metadata has {weight.metadata_bytes} bytes, "
                f"at most {self._limits.metadata_bytes} are taken"
            )
        if weight.fields > most:
            raise exhausted(f"a request with more than {most} fields")
        return self._decode(data)

    def _decode(self, data: bytes) -> Request:
        try:
            request = self.method.variant.decode(data)
        except WireError as error:
            raise _malformed(error) from error
        self._check_sizes(request)
        return _clipped(self._typed(request))

    def _check_sizes(self, request: Request) -> None:
        names: list[tuple[str, ...]] = []
        if isinstance(request, DeltaRequest):
            names = [request.subscribe, request.unsubscribe, tuple(request.initial_resource_versions)]
        else:
            names = [request.resource_names]
        if any(len(some) > self._limits.names for some in names):
            raise exhausted(f"a request with more than {self._limits.names} resource names")
        longest = max((len(name) for some in names for name in some), default=0)
        longest = max(longest, len(request.type_url))
        if request.node:
            longest = max(longest, len(request.node.id), len(request.node.cluster))
        if longest > self._limits.name_length:
            raise invalid(f"a name of {longest} characters, at most {self._limits.name_length} are taken")

    def _typed(self, request: Request) -> Request:
        expected = self.method.type_url
        if expected is None:
            if not request.type_url:
                raise invalid("type_url is missing; it is mandatory on an aggregated stream")
            return request
        if request.type_url not in {"", expected}:
            raise invalid(f"type_url is {request.type_url!r}; {self.method.service} serves {expected!r}")
        return dataclasses.replace(request, type_url=expected)


def _malformed(error: WireError) -> StreamError:
    return invalid(f"malformed request: {error}")


def _clipped(request: Request) -> Request:
    if request.error is None or len(request.error.message) <= _MAX_REASON:
        return request
    reason = Status(request.error.code, f"{request.error.message[:_MAX_REASON]}…")
    return dataclasses.replace(request, error=reason)
