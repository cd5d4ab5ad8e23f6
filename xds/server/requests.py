"""The requests of a stream that is not one of discovery."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from xds.server.errors import StreamError, exhausted, invalid
from xds.server.limits import HANDLING, Limits, TimeBudget
from xds.server.stream_handler import Context
from xds.wire import Node, WireError, decode_node
from xds.wire.descriptors import message_class

_LOADED: dict[str, type[Message]] = {}


async def requests(context: Context, message_name: str, limits: Limits) -> AsyncIterator[Any]:
    """Yield the requests of a stream, decoded, no faster than the stream's budget lets it.

    Raise ``StreamError`` if none comes in time, or for one that is malformed.
    """
    message = await loaded(message_name)
    clock = asyncio.get_running_loop().time
    budget = TimeBudget(limits.loop_share, limits.loop_burst, clock())
    try:
        async with asyncio.timeout(limits.first_request):
            data = await context.read()
    except TimeoutError:
        raise StreamError(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"no request came within {limits.first_request:g} s"
        ) from None
    while isinstance(data, bytes):
        began = clock()
        yield decoded(data, message)
        now = clock()
        await asyncio.sleep(budget.spend(HANDLING + now - began, now))
        data = await context.read()


async def loaded(message_name: str) -> type[Message]:
    """Return a message class, made off the event loop the first time."""
    known = _LOADED.get(message_name)
    if known is None:
        known = _LOADED[message_name] = await asyncio.to_thread(message_class, message_name)
    return known


def decoded(data: bytes, message: type[Message]) -> Any:
    """Decode a request. Raise ``StreamError`` if it is malformed."""
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise invalid(f"malformed {message.DESCRIPTOR.name}: {error}") from None


def node_of(message: Any, limits: Limits) -> Node:
    """Read the node of a request. Raise ``StreamError`` if there is too much of it."""
    if message.metadata.ByteSize() > limits.metadata_bytes:
        raise exhausted(f"node.metadata has more than {limits.metadata_bytes} bytes")
    if max(len(message.id), len(message.cluster)) > limits.name_length:
        raise invalid(f"a node's id and cluster have at most {limits.name_length} characters")
    try:
        node = decode_node(message.SerializeToString())
    except WireError as error:
        raise invalid(f"malformed node: {error}") from None
    return node
