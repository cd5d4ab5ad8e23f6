"""Sans-I/O xDS: what one stream has subscribed, been sent, acknowledged and rejected.

Theory of operation
===================

A ``Stream`` stands for one xDS stream of one client. It does no I/O and reads no clock: its driver hands it
each request (``receive``) and asks it for the bytes of the next response (``poll``) until there is none. The
driver asks again after a request, after ``on_change`` was called, and at ``deadline``.

*A stream stores exceptions, not states.* The truth is the ``View`` that the client sees. For each type the
stream keeps a ``Subscription``: which names the client wants, and only for the resources at which client and
view differ, what the client holds. When the view changes, the stream notes what the client still holds
(``behind``); when a response is made, the note goes to the response's ``Flight`` until the client has
answered. So a change costs what changed, a client in step with its view costs nothing, and a slow client
that misses ten versions of a resource is sent the last one: there is no queue to grow.

*Two faces, one core.* The delta and the state-of-the-world variants differ in how a request says what it
wants and in how a response is written (``variants``, ``responses``). Everything else (what is due, in which
order, what an ACK means) is here once.

*Wishes* are names: of a resource, one of its aliases, a glob, ``*``. A name that is subscribed is ``asked``
until it is answered, be it that nothing goes by it: with a resource, or with the news that there is none. It
stays wanted, so what is created later is sent then. An empty view is an answer to ``*``, too: a client that
starts waits for one.

*Order* ("Eventual consistency considerations" in ``xds_protocol.rst``). ``poll`` goes through the types in
make-before-break order: clusters, endpoints, listeners, scopes, routes, virtual hosts, then any other;
what is to be removed comes last, when nothing is left to be added. Two rules hold what would break traffic:

- A resource is held back until the client has acknowledged some version of everything that it ``requires``.
  Only what the client subscribes to on this stream counts: a gRPC client asks for a cluster after it has
  seen the route.
- A resource is removed only when nothing in the view, and nothing that the client may still hold, requires
  it; for clusters a drain delay after that, since requests in flight still use it. What a client brings
  along from an earlier stream in a version that the view does not hold may require anything.

A resource that ``revives`` another (a cluster its endpoints) has that other one sent again after it, since
the client waits for it even if it has not changed.

*Rejection.* A NACK is ``error_detail`` being present. The client keeps what it held, and so does our note
of it; what was rejected is not sent again until it changes, or something that it was rejected together
with, as nothing says which of a response's resources was at fault. The event names what was rejected.

*Time to live.* What is sent with a time to live is a lease (``leases``): half the time later the client
hears of it again, whether it changed or not.

*What a client may cost.* Its names, up to a limit; what it has yet to answer, up to a window of responses.
"""

from xds.protocol.errors import LimitExceededError
from xds.protocol.events import Acked, Event, Rejected
from xds.protocol.stream import Stream
from xds.protocol.variants import DELTA, STATE_OF_THE_WORLD, Variant

__all__ = [
    "DELTA",
    "STATE_OF_THE_WORLD",
    "Acked",
    "Event",
    "LimitExceededError",
    "Rejected",
    "Stream",
    "Variant",
]
