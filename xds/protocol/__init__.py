"""Sans-I/O xDS: what one stream subscribes to, was sent, acknowledged and rejected.

Theory of operation
===================

A ``Stream`` is the protocol state of one xDS stream. It does no I/O and reads no clock. A driver gives it
each request (``receive``) and takes the bytes of the next response (``poll``) until there is none. The
driver polls after a request, after ``on_change``, and at ``deadline``.

*Only differences are stored.* The truth is the ``View`` of the node. For each type, a ``Subscription`` has
the names that the client subscribes to, and a ``ClientState`` says what the client holds, but only for
resources where that differs from the view. When the view changes, the stream notes what the client still
holds (``behind``). When a response is made, the note moves to the ``SentResponse`` until the client
answers. So a change costs what changed. A client in step costs nothing. A slow client that misses ten
versions of a resource is sent the last one, and no queue grows. ``states`` has the table of all that can
happen to one name.

*Two variants.* Delta and state of the world differ in how a request subscribes and how a response is
written (``variants``, ``responses``). What is due, in which order, and what an ACK means is common.

*Names.* A client subscribes to the name of a resource, an alias, a glob or ``*``. Each subscribed name is
answered once, even if there is no such resource (``to_answer``). It stays subscribed: a resource that is
created later is sent then. An empty view is an answer to ``*``, too; a starting client waits for one.

*Order* ("Eventual consistency considerations" in ``xds_protocol.rst``). ``poll`` goes through the types in
make-before-break order: clusters, endpoints, listeners, scopes, routes, virtual hosts, then all others.
Removals come last, when nothing is left to be added. Two rules keep traffic unbroken:

- A resource is held back until the client has acknowledged some version of everything that it ``requires``.
  Only what the client subscribes to on this stream counts: a gRPC client subscribes to a cluster after it
  has seen the route.
- A resource is removed only when nothing in the view requires it, and nothing that the client may still
  hold. Clusters stay for a drain delay after that, because requests may be under way. An initial version
  that the view does not have may require anything.

A resource that ``warms`` another one (a cluster its endpoints) has that one sent again after it: the client
waits for it even if it has not changed.

*Rejection.* A request with ``error_detail`` is a NACK. The client keeps what it held. What it rejected is
not sent again until it changes, or something changes that was rejected in the same response, because a NACK
does not say which resource was at fault. ``ClientState.rejected`` is the only record of it.

*Time to live.* A resource sent with a time to live is a lease (``leases``). It is renewed after half that
time.

*Limits.* A client may subscribe to a limited number of names, and leave a limited number of responses
unanswered.
"""

from xds.protocol.events import Acked, Change, Event, Rejected
from xds.protocol.stream import LimitExceededError, Stream
from xds.protocol.variants import DELTA, STATE_OF_THE_WORLD, Variant

__all__ = [
    "DELTA",
    "STATE_OF_THE_WORLD",
    "Acked",
    "Change",
    "Event",
    "LimitExceededError",
    "Rejected",
    "Stream",
    "Variant",
]
