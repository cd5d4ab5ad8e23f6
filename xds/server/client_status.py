"""Client status discovery (CSDS, ``status/v3/csds.proto``): who is connected, and who has what.

The answer to one request is one message, made from what the streams know, in steps between which others
are served.
"""

import asyncio
from typing import Any

from xds.cache import Ref
from xds.protocol.subscription import Subscription
from xds.server.errors import exhausted
from xds.server.limits import Limits
from xds.server.node_matcher import NodeFilter, node_filter
from xds.server.requests import decoded, loaded, requests
from xds.server.resource_status import ResourceStatus, Standing, statuses
from xds.server.roster import Entry, Roster
from xds.server.session import Context
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

# ClientResourceStatus of config_dump_shared.proto: what the client said, for tools that show only that.
_REQUESTED, _DOES_NOT_EXIST, _ACKED, _NACKED = 1, 2, 3, 4
_CLIENT_STATUS = {
    Standing.SYNCED: _ACKED,
    Standing.NOT_SENT: _REQUESTED,
    Standing.STALE: _REQUESTED,
    Standing.ERROR: _NACKED,
}


class ClientStatusDiscovery:
    """Answers from the streams on a roster."""

    def __init__(self, roster: Roster, limits: Limits) -> None:
        self._roster = roster
        self._limits = limits

    async def stream(self, context: Context) -> None:
        """Answer each request of a stream. Raise ``StreamError`` where the client is at fault."""
        async for request in requests(context, _REQUEST, self._limits):
            await context.write(await self._answer(request))

    async def fetch(self, request: bytes) -> bytes:
        """Answer one request. Raise ``StreamError`` where the client is at fault."""
        return await self._answer(decoded(request, await loaded(_REQUEST)))

    async def _answer(self, request: Any) -> bytes:
        chosen: NodeFilter = node_filter(request.node_matchers)
        response: Any = (await loaded(_RESPONSE))()
        size = 0
        for entry in self._roster:
            if chosen(entry.client.node):
                config = response.config.add(client_scope=entry.client.method)
                _describe_node(config.node, entry.client.node)
                await self._describe(config, entry, with_contents=not request.exclude_resource_contents)
                size += config.ByteSize()
                if size > self._limits.status_bytes:
                    raise exhausted(
                        f"the answer has more than {self._limits.status_bytes} bytes: "
                        "set node_matchers, or exclude_resource_contents"
                    )
        data: bytes = response.SerializeToString()
        return data

    async def _describe(self, config: Any, entry: Entry, *, with_contents: bool) -> None:
        written = 0
        for subscription in tuple(entry.stream.subscriptions.values()):
            # Taken all at once: the stream goes on while we pause.
            for status in tuple(statuses(subscription, entry.view)):
                _describe_resource(
                    config.generic_xds_configs.add(), status, subscription, entry, with_contents
                )
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
    config: Any, status: ResourceStatus, subscription: Subscription, entry: Entry, with_contents: bool
) -> None:
    type_url, resource = subscription.type_url, status.resource
    config.type_url = type_url
    config.name = status.name
    config.config_status = status.standing
    config.client_status = _CLIENT_STATUS[status.standing] if resource else _DOES_NOT_EXIST
    if resource is None:
        return
    config.version_info = resource.version
    if with_contents and type_url != SECRET:
        config.xds_config.type_url = type_url
        config.xds_config.value = resource.body
    rejection = entry.rejections.get(Ref(type_url, status.name))
    if rejection and status.standing is Standing.ERROR:
        config.error_state.details = rejection.message
        config.error_state.version_info = resource.version
