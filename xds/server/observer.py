"""What a server tells of its clients."""

from dataclasses import dataclass
from typing import Protocol

from xds.protocol import Event
from xds.protocol.variants import Request
from xds.wire import Node


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """One stream of one node; compared by identity. ``peer`` is its address as gRPC writes it."""

    node: Node
    peer: str
    method: str


class Observer(Protocol):
    """Told of every stream, in the event loop; must not block nor, but for ``asked``, change the cache."""

    def connected(self, client: Client) -> None:
        """A client sent its first request."""

    def disconnected(self, client: Client) -> None:
        """A stream ended, however it ended."""

    def asked(self, client: Client, request: Request) -> None:
        """A client sent a request that is not answered yet. Alone of all, this may still change the cache:
        what it puts into the client's view is answered with.
        """

    def answered(self, client: Client, event: Event) -> None:
        """A client acknowledged or rejected a response."""
