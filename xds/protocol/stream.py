"""One xDS stream of one client: requests in, responses out, in make-before-break order."""

from collections.abc import Iterable, Iterator, Mapping, Set
from types import MappingProxyType

from xds.cache import Changes, Ref, Resource, View
from xds.protocol.errors import LimitExceededError
from xds.protocol.events import Acked, Event, Rejected
from xds.protocol.features import Features
from xds.protocol.holdings import Brought
from xds.protocol.leases import Leases
from xds.protocol.names import WILDCARD
from xds.protocol.subscription import Subscription
from xds.protocol.types import may_refer, rank
from xds.protocol.variants import Due, Request, Response, Variant
from xds.type_urls import CLUSTER
from xds.wire import delimited

_PART_BYTES = 256 << 10
_PART_RESOURCES = 500
"""A response that need not say everything is closed at either: a few milliseconds of work, so that one
client's load does not hold up the others, and far below the 4 MiB that gRPC clients take."""

_UNANSWERED = 32
"""So many responses of one type may wait for an answer; then changes merge until the client has answered."""


class Stream:
    """The state of one stream (see the package's documentation for how it works).

    ``drain`` is how long, in the driver's seconds, a cluster stays with the client after nothing names it
    any more. ``features`` are the client's ``node.client_features``. ``max_types`` may be asked for, and
    ``max_names`` of all types together.
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
        self._view = view
        self._drain = drain
        self._features = Features.of(features, wrapped=variant.wrapped)
        self._max_types = max_types
        self._max_names = max_names
        self._subscriptions: dict[str, Subscription] = {}
        self._nonces = 0
        self._last_nonce: dict[str, str] = {}
        # By type not asked for yet: what must be sent then, whatever version the client brings along.
        self._owed: dict[str, set[str]] = {}
        # When each cluster that is to be removed was first free to go, plus the drain delay.
        self._leaving: dict[str, float] = {}
        self._leases = Leases()
        self._deadline: float | None = None

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """What the client wants and holds, by type URL; a live view, for reading only."""
        return MappingProxyType(self._subscriptions)

    def receive(self, request: Request) -> Event | None:
        """Take a request; return what it says of the response that it answers, if it answers one.

        This is ``settle`` and ``read`` at once. Raises what they raise.
        """
        event = self.settle(request)
        for _ in self.read(request):
            pass
        return event

    def settle(self, request: Request) -> Event | None:
        """Take what a request says of the response that it answers, and return it, if it answers one."""
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            return None
        if request.error is None:
            landed = subscription.holdings.acknowledge(request.response_nonce)
            return None if landed is None else Acked(request.type_url, landed)
        rejected = subscription.reject(request.response_nonce)
        if rejected is None:
            return None
        return Rejected(request.type_url, rejected, request.error.code, request.error.message)

    def read(self, request: Request) -> Iterator[None]:
        """Take what a request says of the client's wishes, with a pause after every few hundred names.

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
        for name in self._owed.pop(type_url, ()):
            subscription.ask(name)
        if first and self._features.ttl:
            self._resume_leases(subscription)
        self._check_names()

    def on_change(self, changes: Changes) -> None:
        """Take note that the view changed (``Watcher``)."""
        for name in changes.get(CLUSTER, ()):
            self._leaving.pop(name, None)
        for type_url, before in changes.items():
            if subscription := self._subscriptions.get(type_url):
                subscription.changed(before)

    def poll(self, now: float) -> bytes | None:
        """Return the next response, None if nothing is to be sent now.

        ``now`` is the driver's monotonic clock, in seconds.
        """
        waiting = [each for each in self._subscriptions.values() if each.awaits and _answers(each)]
        for subscription in waiting:
            due = self._additions(subscription)
            if response := self._variant.write(due, subscription, self._view, self._features):
                return self._send(response, subscription, now)
        clusters = self._subscriptions.get(CLUSTER)
        if not clusters or not clusters.awaits:
            self._leaving = {}
        for subscription in waiting:
            due = Due({}, drop=self._removals(subscription, now))
            if due.drop and (response := self._variant.write(due, subscription, self._view, self._features)):
                return self._send(response, subscription, now)
        expiring = self._leases.due(now)
        for subscription in filter(_answers, self._subscriptions.values()) if expiring else ():
            if held := self._expiring(subscription, expiring, now):
                response = self._variant.renew(held, subscription, self._view, self._features)
                return self._send(response, subscription, now)
        # What is due by now waits for the client to answer, not for the time.
        times = (*self._leaving.values(), self._leases.next)
        self._deadline = min((when for when in times if when and when > now), default=None)
        return None

    @property
    def awaits(self) -> bool:
        """Whether ``poll`` may have something to send now; most acknowledgements leave nothing."""
        return any(subscription.awaits for subscription in self._subscriptions.values())

    @property
    def deadline(self) -> float | None:
        """When ``poll``, once it had nothing to send, may have something even if nothing happens."""
        return self._deadline

    # Requests

    def _subscribe(self, type_url: str) -> Subscription:
        if len(self._subscriptions) == self._max_types:
            raise LimitExceededError(f"more than {self._max_types} types asked for on one stream")
        subscription = Subscription(type_url, self._view)
        self._subscriptions[type_url] = subscription
        self._subscriptions = dict(sorted(self._subscriptions.items(), key=lambda item: rank(item[0])))
        return subscription

    def _resume_leases(self, subscription: Subscription) -> None:
        """Renew what the client kept from an earlier stream."""
        for resource in self._view.resources(subscription.type_url).values():
            if resource.ttl and subscription.holdings.held(resource.name) is resource:
                self._leases.renew(resource.ref, 0.0, now=0.0)

    def _check_names(self) -> None:
        names = sum(len(subscription.wishes.names) for subscription in self._subscriptions.values())
        if names > self._max_names:
            raise LimitExceededError(f"{names} names asked for on one stream, at most {self._max_names} are")

    # Responses

    def _additions(self, subscription: Subscription) -> Due:
        """Return what is to be sent now, or the first part of it."""
        in_parts = self._variant.in_parts(subscription.type_url)
        lacking = {
            each.type_url: each.holdings.lacking
            for each in self._subscriptions.values()
            if each.holdings.lacking
        }
        put: dict[str, Resource] = {}
        size = 0
        held_back = False
        for resource in subscription.due():
            if lacking and self._must_wait(resource, lacking):
                held_back = True
                continue
            size += len(resource.body)
            if in_parts and put and (size > _PART_BYTES or len(put) == _PART_RESOURCES):
                return Due(put)
            put[resource.name] = resource
        return Due(put, subscription.missing(), bare=WILDCARD in subscription.asked and not held_back)

    def _must_wait(self, resource: Resource, lacking: Mapping[str, Mapping[str, int]]) -> bool:
        """Whether the client has yet to acknowledge something that this resource requires."""
        return any(
            self._subscriptions[required.type_url].wishes.target(required.name)
            for required in _unacknowledged(resource.requires, lacking)
        )

    def _removals(self, subscription: Subscription, now: float) -> list[str]:
        """Return what may be removed now; take note of when the clusters that drain may be."""
        free = self._free(subscription)
        if subscription.type_url != CLUSTER:
            return free
        self._leaving = {name: self._leaving.get(name, now + self._drain) for name in free}
        return [name for name, when in self._leaving.items() if when <= now]

    def _free(self, subscription: Subscription) -> list[str]:
        """Return what the client is to hold no more and nothing needs that it may still hold."""
        type_url = subscription.type_url
        gone = {Ref(type_url, name) for name in subscription.gone()}
        in_use = {ref for ref in gone if self._view.requires(ref)}
        for other in self._subscriptions.values() if gone else ():
            for held in other.holdings.outdated():
                if isinstance(held, Brought) and may_refer(other.type_url, type_url):
                    return []
                in_use |= gone & held.requires
                in_use |= gone & {held.revives}
        return [ref.name for ref in sorted(gone - in_use)]

    def _expiring(self, subscription: Subscription, refs: Iterable[Ref], now: float) -> list[Resource]:
        """Return which of ``refs`` the client holds and would let go of unless it hears of them soon."""
        expiring = []
        for ref in refs:
            if ref.type_url != subscription.type_url:
                continue
            held = subscription.holdings.held(ref.name)
            if held and held.ttl:
                expiring.append(held)
                self._leases.renew(ref, held.ttl, now)
            else:
                self._leases.end(ref)
        return expiring

    def _send(self, response: Response, subscription: Subscription, now: float) -> bytes:
        for name in (*response.moves, *response.again):
            held = subscription.holdings.held(name)
            resource = response.moves.get(name, held)
            if resource and resource.revives:
                self._revive(resource.revives, known=held is not None)
            elif held and held.revives:
                self._owed.get(held.revives.type_url, set()).discard(held.revives.name)
            if resource and resource.ttl and self._features.ttl:
                self._leases.renew(resource.ref, resource.ttl, now)
        self._nonces += 1
        nonce = f"{self._nonces:x}"
        self._last_nonce[subscription.type_url] = nonce
        subscription.launch(nonce, response.moves, response.again)
        return response.body + delimited(self._variant.nonce_field, nonce.encode())

    def _revive(self, ref: Ref, *, known: bool) -> None:
        """Have a resource sent again; if its type is not asked for yet and the client may think that it
        has what it needs from an earlier stream (it is ``known``), once it is.
        """
        if subscription := self._subscriptions.get(ref.type_url):
            subscription.ask(ref.name)
        elif known:
            self._owed.setdefault(ref.type_url, set()).add(ref.name)


def _answers(subscription: Subscription) -> bool:
    return len(subscription.holdings.flights) < _UNANSWERED


def _unacknowledged(refs: Set[Ref], lacking: Mapping[str, Mapping[str, int]]) -> Iterator[Ref]:
    """Yield those of ``refs`` that the client wants and never acknowledged, given those by type."""
    if sum(map(len, lacking.values())) < len(refs):
        for type_url, names in lacking.items():
            yield from (ref for name in names if (ref := Ref(type_url, name)) in refs)
    else:
        for ref in refs:
            if ref.name in lacking.get(ref.type_url, ()):
                yield ref
