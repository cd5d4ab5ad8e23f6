"""One xDS stream of one client: requests in, responses out, in make-before-break order."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Set
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from xds.cache import Changes, Ref, Resource, View
from xds.protocol.client_state import InitialVersion
from xds.protocol.events import Acked, Change, Event, Rejected
from xds.protocol.features import Features
from xds.protocol.leases import Leases
from xds.protocol.names import WILDCARD
from xds.protocol.subscription import Subscription
from xds.protocol.types import may_refer, rank
from xds.protocol.variants import Due, Request, Response, Variant
from xds.type_urls import CLUSTER
from xds.wire import Status, delimited

_PART_BYTES = 256 << 10
_PART_RESOURCES = 500
"""A response that need not list everything ends at either limit. That is a few milliseconds of work, so one
client does not hold up the others, and far below the 4 MiB that gRPC clients accept."""

_MAX_SHARED_NAMES = 64
"""Names in a response that is kept for other streams."""

_MAX_UNANSWERED = 32
"""Responses of one type that may await an answer. Further changes are merged until the client answers."""


_is_settled = attrgetter("settled")


class LimitExceededError(Exception):
    """A client subscribes to more than one stream may; the text is for its author."""


class Stream:
    """The protocol state of one stream (see the package's documentation for how it works).

    ``drain`` is how long, in seconds of the driver's clock, a cluster stays with the client after the last
    resource that required it. ``features`` are the client's ``node.client_features``. A client may subscribe
    to ``max_types`` types, and to ``max_names`` names of all types together.
    """

    def __init__(
        self,
        variant: Variant,
        view: View,
        *,
        drain: float = 0.0,
        features: Iterable[str] = (),
        max_types: int = 64,
        max_names: int = 50_000,
    ) -> None:
        self._variant = variant
        # What the client is to see; written by others, who call ``on_change``.
        self._view = view
        self._drain = drain
        self._features = Features.of(features, wrapped=variant.wrapped)
        self._max_types = max_types
        self._max_names = max_names
        # By type URL, in the order of pushes. Written by ``read``.
        self._subscriptions: dict[str, Subscription] = {}
        self.subscriptions: Mapping[str, Subscription] = MappingProxyType(self._subscriptions)
        """What the client subscribes to and holds, by type URL; for reading only."""
        # Responses sent so far; the last nonce in hexadecimal digits. Written by ``poll``.
        self._nonces = 0
        # By type URL: the last nonce, to tell stale requests. Written by ``poll``.
        self._last_nonce: dict[str, str] = {}
        # By type URL that the client has not subscribed to yet: names to send once it does, whatever
        # initial versions it has. Written by ``poll``, cleared by ``read``.
        self._send_once_subscribed: dict[str, set[str]] = {}
        # By name of a cluster that nothing requires any more: when it may be removed. Written by ``poll``.
        self._draining: dict[str, float] = {}
        # What was sent with a time to live. Written by ``poll`` and ``read``.
        self._leases = Leases()
        # See ``deadline``. Written by ``poll``.
        self._deadline: float | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing is due and every response is answered.

        Then the client holds everything that it subscribes to, but for what it rejected (``rejected``).
        """
        return all(map(_is_settled, self._subscriptions.values()))  # for every ACK

    @property
    def rejected(self) -> Mapping[Ref, Status]:
        """What the client is to hold and rejected, with its reason."""
        return {
            Ref(type_url, name): rejection.reason
            for type_url, subscription in self._subscriptions.items()
            for name, rejection in subscription.client.rejected.items()
        }

    def receive(self, request: Request) -> Event | None:
        """Handle a request: ``handle_ack`` and ``read`` at once."""
        event = self.handle_ack(request)
        for _ in self.read(request):
            pass
        return event

    def handle_ack(self, request: Request) -> Event | None:
        """Handle the part of a request that answers a response. Return the ACK or NACK, if it is one."""
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            return None
        if request.error is None:
            acked = subscription.client.acknowledge(request.response_nonce)
            return None if acked is None else Acked(request.type_url, acked)
        rejected = subscription.reject(request.response_nonce, request.error)
        return None if rejected is None else Rejected(request.type_url, rejected, request.error)

    def read(self, request: Request) -> Iterator[None]:
        """Subscribe and unsubscribe as a request says, with a pause after every few hundred names.

        In a pause the view may change, but until the end nothing else may be asked of this stream. Raise
        ``LimitExceededError`` if the client wants more than a stream may; the stream is then to be ended.
        """
        type_url = request.type_url
        subscription = self._subscriptions.get(type_url)
        first = subscription is None
        if subscription is None:
            subscription = self._subscribe(type_url)
        stale = not first and request.response_nonce not in {"", self._last_nonce.get(type_url)}
        yield from self._variant.read(request, subscription, self._view, first=first, stale=stale)
        for name in self._send_once_subscribed.pop(type_url, ()):
            subscription.answer(name)
        if first and self._features.ttl:
            self._resume_leases(subscription)
        self._check_names()

    def on_change(self, changes: Changes) -> None:
        """Note that the view changed; ``changes`` is what its watchers are told."""
        for name in changes.get(CLUSTER, ()):
            self._draining.pop(name, None)
        for type_url, before in changes.items():
            if subscription := self._subscriptions.get(type_url):
                subscription.changed(before)

    def prepare(self) -> Iterator[None]:
        """Encode in advance, with pauses, what ``poll`` would encode at once; anything may happen in them."""
        for subscription in tuple(self._subscriptions.values()):
            if subscription.has_due:
                yield from self._variant.prepare(subscription, self._view, self._features)

    def poll(self, now: float) -> bytes | None:
        """Return the next response; None if nothing is to be sent now.

        ``now`` is the driver's monotonic clock, in seconds.
        """
        sendable = [
            each
            for each in self._subscriptions.values()
            if (each.client.behind or each.to_answer) and len(each.client.unanswered) < _MAX_UNANSWERED
        ]
        if not (sendable or self._draining or self._leases):
            self._deadline = None
            return None
        for subscription in sendable:
            if data := self._send_shared(subscription):
                return data
            due = self._additions(subscription)
            if response := self._variant.write(due, subscription, self._view, self._features):
                self._share(response, due, subscription)
                return self._send(response, subscription, now)
        clusters = self._subscriptions.get(CLUSTER)
        if not clusters or not clusters.has_due:
            self._draining = {}
        for subscription in sendable:
            due = Due({}, drop=self._removals(subscription, now))
            if due.drop and (response := self._variant.write(due, subscription, self._view, self._features)):
                return self._send(response, subscription, now)
        expiring = self._leases.due(now)
        for subscription in filter(_in_window, self._subscriptions.values()) if expiring else ():
            if held := self._expiring(subscription, expiring, now):
                response = self._variant.renew(held, subscription, self._view, self._features)
                return self._send(response, subscription, now)
        # What is already due waits for the client's answers, not for the time.
        times = (*self._draining.values(), self._leases.next)
        self._deadline = min((when for when in times if when and when > now), default=None)
        return None

    @property
    def has_due(self) -> bool:
        """Whether ``poll`` may have something to send now. After most ACKs it has nothing."""
        for subscription in self._subscriptions.values():
            if subscription.client.behind or subscription.to_answer:
                return True
        return False

    @property
    def deadline(self) -> float | None:
        """When ``poll``, after it had nothing to send, may have something even if nothing happens."""
        return self._deadline

    # Requests

    def _subscribe(self, type_url: str) -> Subscription:
        if len(self._subscriptions) == self._max_types:
            raise LimitExceededError(f"more than {self._max_types} types subscribed to on one stream")
        subscription = Subscription(type_url, self._view)
        self._subscriptions[type_url] = subscription
        self._subscriptions = dict(sorted(self._subscriptions.items(), key=lambda item: rank(item[0])))
        self.subscriptions = MappingProxyType(self._subscriptions)
        return subscription

    def _resume_leases(self, subscription: Subscription) -> None:
        """Renew the leases of what the client holds from an earlier stream."""
        for resource in self._view.resources(subscription.type_url).values():
            if resource.ttl and subscription.client.held(resource.name) is resource:
                self._leases.renew(resource.ref, 0.0, now=0.0)

    def _check_names(self) -> None:
        names = sum(len(subscription.subscribed.names) for subscription in self._subscriptions.values())
        if names > self._max_names:
            raise LimitExceededError(
                f"{names} names subscribed to on one stream; at most {self._max_names} are allowed"
            )

    # Responses

    def _additions(self, subscription: Subscription) -> Due:
        """Return what is to be sent now, or the first part of it."""
        in_parts = self._variant.in_parts(subscription.type_url)
        never_acked = {
            each.type_url: each.client.never_acked
            for each in self._subscriptions.values()
            if each.client.never_acked
        }
        put: dict[str, Resource] = {}
        size = 0
        held_back = False
        for resource in subscription.due():
            if never_acked and resource.requires and self._must_wait(resource, never_acked):
                held_back = True
                continue
            size += len(resource.body)
            if in_parts and put and (size > _PART_BYTES or len(put) == _PART_RESOURCES):
                return Due(put)
            put[resource.name] = resource
        return Due(
            put,
            subscription.missing(),
            empty_response_due=WILDCARD in subscription.to_answer and not held_back,
        )

    def _must_wait(self, resource: Resource, never_acked: Mapping[str, Mapping[str, int]]) -> bool:
        """Whether the client has not acknowledged something that this resource requires."""
        return any(
            self._subscriptions[required.type_url].subscribed.target(required.name)
            for required in _unacknowledged(resource.requires, never_acked)
        )

    def _removals(self, subscription: Subscription, now: float) -> list[str]:
        """Return what may be removed now. Clusters must drain first."""
        free = self._free(subscription)
        if subscription.type_url != CLUSTER:
            return free
        self._draining = {name: self._draining.get(name, now + self._drain) for name in free}
        return [name for name, when in self._draining.items() if when <= now]

    def _free(self, subscription: Subscription) -> list[str]:
        """Return what the client is to hold no more, and nothing requires that it may still hold."""
        type_url = subscription.type_url
        gone = {Ref(type_url, name) for name in subscription.gone()}
        in_use = {ref for ref in gone if self._view.requires(ref)}
        for other in self._subscriptions.values() if gone else ():
            for held in other.client.outdated():
                if isinstance(held, InitialVersion) and may_refer(other.type_url, type_url):
                    return []
                in_use |= gone & held.requires
                in_use |= gone & {held.warms}
        return [ref.name for ref in sorted(gone - in_use)]

    def _expiring(self, subscription: Subscription, refs: Iterable[Ref], now: float) -> list[Resource]:
        """Return which of ``refs`` the client holds; their leases must be renewed soon."""
        expiring = []
        for ref in refs:
            if ref.type_url != subscription.type_url:
                continue
            held = subscription.client.held(ref.name)
            if held and held.ttl:
                expiring.append(held)
                self._leases.renew(ref, held.ttl, now)
            else:
                self._leases.end(ref)
        return expiring

    def _send(self, response: Response, subscription: Subscription, now: float) -> bytes:
        sent = response.changes.values()
        special = any(resource and (resource.warms or resource.ttl) for resource in sent)
        if special or response.repeated or self._send_once_subscribed:
            self._note_effects(response, subscription, now)
        nonce, field = self._next_nonce(subscription)
        subscription.record_sent(nonce, response.changes, response.repeated)
        return response.body + field

    def _note_effects(self, response: Response, subscription: Subscription, now: float) -> None:
        """Note what follows from sending resources that warm others, or have a time to live."""
        for name in (*response.changes, *response.repeated):
            held = subscription.client.held(name)
            resource = response.changes.get(name, held)
            if resource and resource.warms:
                self._resend_warmed(resource.warms, known=held is not None)
            elif held and held.warms:
                self._send_once_subscribed.get(held.warms.type_url, set()).discard(held.warms.name)
            if resource and resource.ttl and self._features.ttl:
                self._leases.renew(resource.ref, resource.ttl, now)

    def _next_nonce(self, subscription: Subscription) -> tuple[str, bytes]:
        """Return a nonce, and the field of a response that it is."""
        self._nonces += 1
        nonce, field = _nonce(self._nonces, self._variant.nonce_field)
        self._last_nonce[subscription.type_url] = nonce
        return nonce, field

    # Streams in step are due the same after a change: the first one's response serves the others.

    def _send_shared(self, subscription: Subscription) -> bytes | None:
        """Return the response that another stream was sent in the same state, None if there is none."""
        key = self._sharing_key(subscription)
        shared = self._view.derived.get(key) if key else None
        if not isinstance(shared, _SharedResponse):
            return None
        target = subscription.subscribed.target
        for name, change in shared.changes.items():
            if target(name) is not change.sent:
                return None  # it subscribes to less
        nonce, field = self._next_nonce(subscription)
        subscription.client.record_sent_behind(nonce, shared.changes)
        return shared.body + field

    def _share(self, response: Response, due: Due, subscription: Subscription) -> None:
        """Keep a response for other streams if it says all that is due, and that without side effects."""
        put, behind = due.put, subscription.client.behind
        if not put or due.missing or due.empty_response_due or put.keys() != behind.keys():
            return
        if any(each.warms or each.ttl for each in put.values()):
            return
        if key := self._sharing_key(subscription):
            changes = {name: Change(held, put[name]) for name, held in behind.items()}
            self._view.derived[key] = _SharedResponse(response.body, changes)

    def _sharing_key(self, subscription: Subscription) -> Hashable | None:
        """Return what a response to this stream depends on beside the view; None if on more than that."""
        behind = subscription.client.behind
        if subscription.to_answer or self._send_once_subscribed or len(behind) > _MAX_SHARED_NAMES:
            return None
        if not self._variant.shareable(subscription.type_url):
            return None
        for each in self._subscriptions.values():
            if each.client.never_acked:
                return None
        return (subscription.type_url, self._variant, self._features, *behind)

    def _resend_warmed(self, ref: Ref, *, known: bool) -> None:
        """Send a resource again after the one that it warms.

        If the client has not subscribed to its type yet and has it from an earlier stream (``known``), it is
        sent when the client subscribes.
        """
        if subscription := self._subscriptions.get(ref.type_url):
            subscription.answer(ref.name)
        elif known:
            self._send_once_subscribed.setdefault(ref.type_url, set()).add(ref.name)


class _SharedResponse(NamedTuple):
    """A response without its nonce, and what it changes for the stream that it was made for."""

    body: bytes
    changes: Mapping[str, Change]


@lru_cache(1 << 12)  # streams in step have the same nonces
def _nonce(number: int, field: int) -> tuple[str, bytes]:
    nonce = f"{number:x}"
    return nonce, delimited(field, nonce.encode())


def _in_window(subscription: Subscription) -> bool:
    return len(subscription.client.unanswered) < _MAX_UNANSWERED


def _unacknowledged(refs: Set[Ref], never_acked: Mapping[str, Mapping[str, int]]) -> Iterator[Ref]:
    """Yield those of ``refs`` that are in ``never_acked``, by type URL and name."""
    if sum(map(len, never_acked.values())) < len(refs):
        for type_url, names in never_acked.items():
            yield from (ref for name in names if (ref := Ref(type_url, name)) in refs)
    else:
        for ref in refs:
            if ref.name in never_acked.get(ref.type_url, ()):
                yield ref
