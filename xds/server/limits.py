"""Bounds on what clients can make a server hold and do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take before it loses its stream; all times in seconds.

    The defaults leave room for an edge proxy of 10,000 services with several subsets each. Streams per node
    are many because a proxy without ADS opens one for every cluster whose endpoints it fetches.
    """

    message_bytes: int = 8 << 20
    """Of one request."""
    metadata_bytes: int = 64 << 10
    """Of ``Node.metadata``, encoded."""
    names: int = 50_000
    """That one stream subscribes to, of all types, and that one request may carry."""
    name_length: int = 2_048
    """Of a resource name, a type URL or a node's id, in characters."""
    types: int = 64
    """Of resources on one stream."""
    status_bytes: int = 64 << 20
    """Of one answer about the status of clients."""
    streams: int = 50_000
    """Open at once, of all nodes: two for each of 20,000 targets of gRPC clients, and proxies beside them."""
    streams_per_node: int = 1_000
    """Open at once, of nodes with the same id."""
    first_request: float = 30.0
    """From the start of a stream to its first request."""
    poll: float = 60.0
    """Since a REST client last polled; then it counts as gone."""
    stall: float = 60.0
    """That a client may leave a response unread."""
    loop_share: float = 0.2
    """Of the server's time, that the requests of one stream may take for long; see ``TimeBudget``."""
    loop_burst: float = 1.0
    """Of the server's time, that the requests of one stream may take at once."""
    keepalive: float = 30.0
    """Between our pings of a silent connection, to be rid of machines that vanished."""
    keepalive_timeout: float = 20.0
    """That a ping may stay unanswered."""
    client_ping_interval: float = 5.0
    """Between a client's pings, at least. gRPC's own default, 5 min, takes Envoy's keepalive for abuse."""
    connection_idle: float | None = 300.0
    """That a connection may stay open without any stream."""
    connection_age: float | None = None
    """After which a connection is closed in good order, so that clients spread over replicas again.

    It takes no new streams after 0.9 to 1.1 times this age (gRPC spreads it). Its discovery streams end after
    ``STREAM_AGES``, what else there is on it after 1.4 to 1.6.
    """


DEFAULTS = Limits()

STREAM_AGES = (1.1, 1.4)
"""After which discovery streams end, as multiples of ``connection_age``."""

AGE_GRACE = 0.5
"""How long an old connection stays open for its streams, as a multiple of ``connection_age``."""

HANDLING = 0.0002
"""Seconds that a request costs us in gRPC alone, roughly."""


class TimeBudget:
    """A stream's share of the server's time: a burst that is there at first, and refills as time goes by.

    Reads no clock: all times are the caller's, in seconds.
    """

    __slots__ = ("_burst", "_left", "_share", "_since")

    def __init__(self, share: float, burst: float, now: float) -> None:
        self._share = share
        self._burst = burst
        # What is left, below 0 if it is overdrawn, and since when it refills. Written by ``spend``.
        self._left = burst
        self._since = now

    def spend(self, cost: float, now: float) -> float:
        """Take ``cost`` off; return how long to wait until the budget is no longer overdrawn."""
        refill = (now - self._since) * self._share
        self._left = min(self._burst, self._left + refill) - cost
        self._since = now
        return max(0.0, -self._left / self._share)
