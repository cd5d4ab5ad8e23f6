"""Client status discovery (CSDS, ``status/v3/csds.proto``): who is connected, and who has what.

The answer to one request is one message, made from what the streams know, in steps between which others
are served.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from xds.cache import Resource, View
from xds.protocol.names import WILDCARD, is_glob
from xds.protocol.subscription import Subscription
from xds.server.authorization import Authorization
from xds.server.errors import exhausted
from xds.server.limits import Limits
from xds.server.node_matcher import NodeFilter, node_filter
from xds.server.open_streams import OpenStream, OpenStreams
from xds.server.requests import decoded, loaded, requests
from xds.server.stream_handler import Context, peer_of
from xds.type_urls import SECRET
from xds.wire import Node
from xds.wire.descriptors import RpcMethod

SERVICE = "envoy.service.status.v3.ClientStatusDiscoveryService"
_REQUEST = "envoy.service.status.v3.ClientStatusRequest"
_RESPONSE = "envoy.service.status.v3.ClientStatusResponse"
STREAM = RpcMethod(SERVICE, "StreamClientStatus", _REQUEST, _RESPONSE)
FETCH = RpcMethod(
    SERVICE, "FetchClientStatus", _REQUEST, _RESPONSE, client_streaming=False, server_streaming=False
)

_STEP = 200
"""Resources that are written without a pause: about 1 ms."""


class ConfigStatus(IntEnum):
    """``ConfigStatus`` of ``csds.proto``, with its numbers."""

    SYNCED = 1
    """Sent and acknowledged."""
    NOT_SENT = 2
    """Held back, merged with what is about to be sent, or not there."""
    STALE = 3
    """Sent and not answered."""
    ERROR = 4
    """Sent and rejected."""


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One resource that a client wants; ``resource`` is what the view holds, None if it holds nothing."""

    name: str
    config_status: ConfigStatus
    resource: Resource | None


# ClientResourceStatus of config_dump_shared.proto: what the client said, for tools that show only that.
_REQUESTED, _DOES_NOT_EXIST, _ACKED, _NACKED = 1, 2, 3, 4
_CLIENT_STATUS = {
    ConfigStatus.SYNCED: _ACKED,
    ConfigStatus.NOT_SENT: _REQUESTED,
    ConfigStatus.STALE: _REQUESTED,
    ConfigStatus.ERROR: _NACKED,
}


OtherStatus = Callable[[bytes], Awaitable[bytes]]
"""Answers a ``ClientStatusRequest`` for the streams of other processes that serve on the same port."""


class ClientStatusDiscovery:
    """Answers from the open streams, and from those of ``others`` if there are any."""

    def __init__(
        self,
        open_streams: OpenStreams,
        limits: Limits,
        authorization: Authorization | None,
        others: OtherStatus | None = None,
    ) -> None:
        self._open_streams = open_streams
        self._limits = limits
        self._authorization = authorization
        self._others = others

    async def stream(self, context: Context) -> None:
        """Answer each request of a stream. Raise ``StreamError`` where the client is at fault."""
        self._authorize(context)
        async for request in requests(context, _REQUEST, self._limits):
            await context.write(await self._whole_answer(request))

    async def fetch(self, request: bytes, context: Context) -> bytes:
        """Answer one request. Raise ``StreamError`` where the client is at fault."""
        self._authorize(context)
        return await self._whole_answer(decoded(request, await loaded(_REQUEST)))

    async def own(self, request: bytes) -> bytes:
        """Answer for the open streams here alone, whoever asks. Raise ``StreamError`` as ``fetch``."""
        return await self._answer(decoded(request, await loaded(_REQUEST)))

    async def _whole_answer(self, request: Any) -> bytes:
        own = await self._answer(request)
        # One message after the other is one message with the clients of both.
        return own + await self._others(request.SerializeToString()) if self._others else own

    def _authorize(self, context: Context) -> None:
        if self._authorization:
            self._authorization.check_status(peer_of(context))

    async def _answer(self, request: Any) -> bytes:
        chosen: NodeFilter = node_filter(request.node_matchers)
        response: Any = (await loaded(_RESPONSE))()
        size = 0
        for each in self._open_streams:
            if chosen(each.info.node):
                config = response.config.add(client_scope=each.info.method)
                _describe_node(config.node, each.info.node)
                await self._describe(config, each, with_contents=not request.exclude_resource_contents)
                size += config.ByteSize()
                if size > self._limits.status_bytes:
                    raise exhausted(
                        f"the answer has more than {self._limits.status_bytes} bytes: "
                        "set node_matchers, or exclude_resource_contents"
                    )
        data: bytes = response.SerializeToString()
        return data

    async def _describe(self, config: Any, stream: OpenStream, *, with_contents: bool) -> None:
        written = 0
        for subscription in tuple(stream.stream.subscriptions.values()):
            # Taken all at once: the stream goes on while we pause.
            for status in tuple(statuses(subscription, stream.view)):
                _describe_resource(config.generic_xds_configs.add(), status, subscription, with_contents)
                written += 1
                if written % _STEP == 0:
                    await asyncio.sleep(0)


def _describe_node(message: Any, node: Node) -> None:
    message.id = node.id
    message.cluster = node.cluster
    message.metadata.update(node.metadata)
    message.user_agent_name = node.user_agent_name
    if node.user_agent_version:
        message.user_agent_version = node.user_agent_version
    message.client_features.extend(node.client_features)
    if node.locality:
        message.locality.region = node.locality.region
        message.locality.zone = node.locality.zone
        message.locality.sub_zone = node.locality.sub_zone


def _describe_resource(
    config: Any, status: ResourceStatus, subscription: Subscription, with_contents: bool
) -> None:
    type_url, resource = subscription.type_url, status.resource
    config.type_url = type_url
    config.name = status.name
    config.config_status = status.config_status
    config.client_status = _CLIENT_STATUS[status.config_status] if resource else _DOES_NOT_EXIST
    if resource is None:
        return
    config.version_info = resource.version
    if with_contents and type_url != SECRET:
        config.xds_config.type_url = type_url
        config.xds_config.value = resource.body
    if rejection := subscription.client.rejected.get(status.name):
        config.error_state.details = rejection.reason.message
        config.error_state.version_info = resource.version


def statuses(subscription: Subscription, view: View) -> Iterator[ResourceStatus]:
    """Yield the status of every resource of a type that a client wants."""
    in_flight = {
        name: resource
        for response in subscription.client.unanswered.values()
        for name, resource in response.sent.items()
    }
    if subscription.subscribed.wildcard or any(map(is_glob, subscription.subscribed.names)):
        everything = tuple(view.resources(subscription.type_url).values())
        wanted = [resource for resource in everything if subscription.subscribed.wants(resource)]
    else:
        found = map(subscription.find, subscription.subscribed.names)
        wanted = list({resource.name: resource for resource in found if resource}.values())
    for resource in wanted:
        yield ResourceStatus(resource.name, _status_of(resource, subscription, in_flight), resource)
    for name in subscription.subscribed.names:
        if name != WILDCARD and not is_glob(name) and not subscription.find(name):
            yield ResourceStatus(name, ConfigStatus.NOT_SENT, None)


def _status_of(
    resource: Resource, subscription: Subscription, in_flight: dict[str, Resource | None]
) -> ConfigStatus:
    if resource.name in subscription.client.rejected:
        return ConfigStatus.ERROR
    if resource.name in subscription.client.behind:
        return ConfigStatus.NOT_SENT
    return ConfigStatus.STALE if resource.name in in_flight else ConfigStatus.SYNCED
