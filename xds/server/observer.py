"""What a server tells of its streams."""

import logging
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog

from xds.cache import Ref
from xds.protocol import Acked, Event, Rejected
from xds.type_urls import short
from xds.wire import Node

_log = structlog.get_logger(__name__)

_MANY = 20


CertificateId = tuple[str, str]
"""Issuer and serial number of a certificate; the number has up to 160 bits and is written in base 16."""


class Peer(NamedTuple):
    """The other end of a connection, as far as it is known for sure."""

    address: str
    """As gRPC writes it: ``ipv4:127.0.0.1:40312``."""
    identities: tuple[str, ...] = ()
    """What its certificate says; empty without client certificates."""
    certificate: CertificateId | None = None
    """The certificate that it showed."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamInfo:
    """One open stream, as observers are told of it; compared by identity."""

    node: Node
    peer: Peer
    method: str


class Observer(Protocol):
    """Told of every stream, in the event loop. It must not block and must not change the cache."""

    def opened(self, stream: StreamInfo) -> None:
        """Note a stream whose first request came."""

    def closed(self, stream: StreamInfo) -> None:
        """Note that a stream ended, for whatever reason."""

    def answered(self, stream: StreamInfo, event: Event) -> None:
        """Note that the client acknowledged or rejected a response."""

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        """Note that the client has its view up to a generation (``View``), but for what it rejected."""


class LogObserver:
    """Logs what an operator must know; the observer of a server that is given no other."""

    def opened(self, stream: StreamInfo) -> None:
        """Log a new stream."""
        _log.info("client connected", **_who(stream), version=stream.node.user_agent_version)

    def closed(self, stream: StreamInfo) -> None:
        """Log the end of a stream."""
        _log.info("client disconnected", **_who(stream))

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        """Log nothing."""

    def answered(self, stream: StreamInfo, event: Event) -> None:
        """Log a NACK with the documents that it concerns; at level debug an ACK, too."""
        match event:
            case Acked():
                if _log.is_enabled_for(logging.DEBUG):  # one for every stream and push
                    what = {"type": short(event.type_url), "count": len(event.changes)}
                    _log.debug("acknowledged", **_who(stream), **what)
            case Rejected():
                self.rejected(stream, event, _concerns(event))

    def rejected(self, stream: StreamInfo, event: Rejected, concerns: Collection[str]) -> None:
        """Log a NACK with what it concerns."""
        _log.error(
            "client rejected a push and keeps what it had",
            **_who(stream),
            type=short(event.type_url),
            resources=few_of(event.changes),
            concerns=few_of(concerns),
            reason=event.reason.message,
        )


def few_of(names: Collection[str]) -> list[str]:
    """Shorten a list to what a person reads: a client may reject 10,000 resources at once."""
    few = sorted(names)[:_MANY]
    return few if len(few) == len(names) else [*few, f"and {len(names) - len(few)} more"]


def _concerns(event: Rejected) -> set[str]:
    """Return the origins of what was sent that the client does not hold yet."""
    origins: set[str] = set()
    for held, sent in event.changes.values():
        if sent:
            origins.update(map(str, _new(sent.origins, held.origins if held else ())))
    return origins


def _new(sent: Iterable[object], held: Iterable[object]) -> Iterable[object]:
    known = frozenset(held)
    return [origin for origin in sent if origin not in known] or sent


def _who(stream: StreamInfo) -> dict[str, object]:
    return {"node": stream.node.id, "group": stream.node.cluster, "peer": stream.peer.address}
