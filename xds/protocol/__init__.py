"""Sans-I/O xDS: what one stream has subscribed, been sent, acknowledged and rejected.

Theory of operation
===================

A ``Stream`` stands for one xDS stream of one client. It does no I/O and reads no clock: its driver hands it
the bytes of each request (``receive``), and asks it for the bytes of the next response (``poll``) until
there is none. The driver asks again after a request, after ``on_change`` was called, and at ``deadline``.

*A stream stores exceptions, not states.* The truth is the ``View`` that the client sees. For each type the
stream keeps a ``Subscription``: which names the client wants, and only for the names at which client and
view differ, what the client holds. When the view changes, the stream notes what the client still holds
(``behind``); when a response is made, the note goes to the response's ``Flight`` until the client has
answered. So a change costs what changed, a client in step with its view costs nothing, and a slow client
that misses ten versions of a resource is sent the last one: there is no queue to grow.

*Two faces, one core.* The delta and the state-of-the-world variants differ in how a request says what it
wants and in how a response is written (``delta``, ``sotw``). Everything else (what is due, in which order,
what an ACK means) is here once.

*Order* ("Eventual consistency considerations" in ``xds_protocol.rst``). ``poll`` goes through the types in
make-before-break order: clusters, endpoints, listeners, scopes, routes, virtual hosts, then any other;
what is to be removed comes last, when nothing is left to be added. Two rules hold what would break traffic:

- A resource is held back until the client has acknowledged some version of everything that it ``requires``.
  Only what the client subscribes to on this stream counts: a gRPC client asks for a cluster after it has
  seen the route.
- A resource is removed only when nothing that the client may still hold requires it, and for clusters a
  drain delay after that, since requests in flight still use it.

A resource that ``revives`` another (a cluster its endpoints) has that other one sent again after it, since
the client waits for it even if it has not changed.

*Rejection.* A NACK is ``error_detail`` being present. The client keeps what it held, and so does our note
of it; what was rejected is not sent again until it changes. The event names what was rejected.
"""

from xds.protocol.events import Acked, Event, Rejected
from xds.protocol.stream import Stream
from xds.protocol.variants import DELTA, STATE_OF_THE_WORLD, Variant

__all__ = ["DELTA", "STATE_OF_THE_WORLD", "Acked", "Event", "Rejected", "Stream", "Variant"]
