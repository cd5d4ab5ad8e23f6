"""Who is connected, and what each client said of what it was sent."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import structlog

from xds.protocol import Acked, Event, Rejected
from xds.server.observer import Client
from xds.type_urls import short

_log = structlog.get_logger(__name__)

_MANY = 20


@dataclass(slots=True)
class TypeStatus:
    """What a client said of one type: its answers so far, and its last word if that was a rejection."""

    acknowledged: int = 0
    rejected: int = 0
    rejection: Rejected | None = None


@dataclass(slots=True)
class ClientStatus:
    """What is known of one stream, by type URL."""

    types: dict[str, TypeStatus] = field(default_factory=dict)


class Clients:
    """An ``Observer`` that keeps the status of every stream and logs what an operator must know."""

    def __init__(self) -> None:
        self._clients: dict[Client, ClientStatus] = {}

    @property
    def connected_now(self) -> Mapping[Client, ClientStatus]:
        """All streams that are open, with their status; a live, read-only view."""
        return MappingProxyType(self._clients)

    def connected(self, client: Client) -> None:
        """Keep a new client, and log it."""
        self._clients[client] = ClientStatus()
        _log.info("client connected", **_who(client), version=client.node.user_agent_version)

    def disconnected(self, client: Client) -> None:
        """Let go of a client, and log it."""
        self._clients.pop(client, None)
        _log.info("client disconnected", **_who(client))

    def answered(self, client: Client, event: Event) -> None:
        """Note an ACK or a NACK; log it, a NACK with the rule documents that it concerns."""
        status = self._clients[client].types.setdefault(event.type_url, TypeStatus())
        match event:
            case Acked():
                status.acknowledged += 1
                status.rejection = None
                if _log.is_enabled_for(logging.DEBUG):  # one for every client and push
                    what = {"type": short(event.type_url), "count": len(event.resources)}
                    _log.debug("acknowledged", **_who(client), **what)
            case Rejected():
                status.rejected += 1
                status.rejection = event
                _log.error(
                    "client rejected a push and keeps what it had",
                    **_who(client),
                    **_what(event),
                    reason=event.message,
                )


def _who(client: Client) -> dict[str, object]:
    return {"node": client.node.id, "group": client.node.cluster, "peer": client.peer}


def _what(event: Rejected) -> dict[str, object]:
    origins = {origin for resource in event.resources.values() if resource for origin in resource.origins}
    return {
        "type": short(event.type_url),
        "resources": _some(event.resources),
        "concerns": _some(origins),
    }


def _some(names: Collection[str]) -> list[str]:
    """Shorten a list to what a person reads; a client that rejects its first response rejects everything."""
    some = sorted(names)[:_MANY]
    return some if len(some) == len(names) else [*some, f"and {len(names) - len(some)} more"]
