"""One xDS stream of one client: requests in, responses out, in make-before-break order."""

from collections.abc import Set

from xds.cache import Changes, Ref, Resource, View
from xds.protocol.events import Acked, Event, Rejected
from xds.protocol.subscription import Subscription
from xds.protocol.types import rank
from xds.protocol.variants import Due, Request, Variant
from xds.type_urls import CLUSTER
from xds.wire import SotwRequest, delimited

_UNANSWERED = 32
"""So many responses of one type may wait for an answer; then changes merge until the client has answered."""


class Stream:
    """The state of one stream (see the package's documentation for how it works).

    ``drain`` is how long, in the driver's seconds, a cluster stays with the client after nothing names it
    any more.
    """

    def __init__(self, variant: Variant, view: View, *, drain: float = 0.0) -> None:
        self._variant = variant
        self._view = view
        self._drain = drain
        self._subscriptions: dict[str, Subscription] = {}
        self._nonces = 0
        self._last_nonce: dict[str, str] = {}
        # Resources that must go out once they are subscribed, whatever version the client brings along.
        self._owed: set[Ref] = set()
        # When each cluster that is to be removed was first free to go, plus the drain delay.
        self._leaving: dict[str, float] = {}

    def receive(self, request: Request) -> Event | None:
        """Take a request; return what it says of the response that it answers, if it answers one."""
        type_url = request.type_url
        subscription = self._subscriptions.get(type_url)
        first = subscription is None
        if subscription is None:
            subscription = self._subscribe(type_url)
        event = self._settle(request, subscription)
        if first or not self._stale(request):
            self._variant.read(request, subscription, self._view, first=first)
            self._pay(subscription)
        return event

    def on_change(self, changes: Changes) -> None:
        """Take note that the view changed (``Watcher``)."""
        for type_url, before in changes.items():
            if subscription := self._subscriptions.get(type_url):
                subscription.changed(before)

    def poll(self, now: float) -> bytes | None:
        """Return the next response, None if nothing is to be sent now.

        ``now`` is the driver's monotonic clock, in seconds.
        """
        for subscription in self._subscriptions.values():
            if response := self._advance(subscription, self._additions(subscription)):
                return response
        for subscription in self._subscriptions.values():
            drop = self._removals(subscription, now)
            if drop and (response := self._advance(subscription, Due({}, drop=drop))):
                return response
        return None

    @property
    def deadline(self) -> float | None:
        """When ``poll`` may have something to send even if nothing happens until then."""
        return min(self._leaving.values(), default=None)

    # Requests

    def _subscribe(self, type_url: str) -> Subscription:
        subscription = Subscription(type_url, self._view)
        self._subscriptions[type_url] = subscription
        self._subscriptions = dict(sorted(self._subscriptions.items(), key=lambda item: rank(item[0])))
        return subscription

    def _stale(self, request: Request) -> bool:
        """Whether the client has yet to see a newer response and will say then what it wants.

        Only the state of the world: a delta request changes the wishes whatever it answers.
        """
        return (
            isinstance(request, SotwRequest)
            and bool(request.response_nonce)
            and request.response_nonce != self._last_nonce.get(request.type_url)
        )

    def _settle(self, request: Request, subscription: Subscription) -> Event | None:
        if request.error is None:
            landed = subscription.acknowledge(request.response_nonce)
            return None if landed is None else Acked(request.type_url, landed)
        rejected = subscription.reject(request.response_nonce)
        if rejected is None:
            return None
        return Rejected(request.type_url, rejected, request.error.code, request.error.message)

    def _pay(self, subscription: Subscription) -> None:
        for ref in [ref for ref in self._owed if ref.type_url == subscription.type_url]:
            if subscription.covers(ref.name):
                self._owed.discard(ref)
                subscription.forced.add(ref.name)

    # Responses

    def _additions(self, subscription: Subscription) -> Due:
        put: dict[str, Resource] = {}
        missing: list[str] = []
        if len(subscription.flights) >= _UNANSWERED:
            return Due(put)
        for name, resource in list(subscription.due()):
            if resource:
                if not self._must_wait(resource):
                    put[name] = resource
            elif subscription.held(name) is None:
                if name in subscription.forced:
                    missing.append(name)
                else:
                    subscription.dismiss([name])
        return Due(put, missing)

    def _must_wait(self, resource: Resource) -> bool:
        """Whether the client has yet to acknowledge something that this resource requires."""
        lacking = sum(len(subscription.lacking) for subscription in self._subscriptions.values())
        if lacking < len(resource.requires):
            return any(
                Ref(type_url, name) in resource.requires and subscription.current(name)
                for type_url, subscription in self._subscriptions.items()
                for name in subscription.lacking
            )
        return any(
            name in subscription.lacking and subscription.current(name)
            for type_url, name in resource.requires
            if (subscription := self._subscriptions.get(type_url))
        )

    def _removals(self, subscription: Subscription, now: float) -> list[str]:
        """Return what may be removed now; take note of when the clusters that drain may be."""
        gone = [name for name, resource in subscription.due() if not resource and subscription.held(name)]
        in_use = self._in_use() if gone else frozenset()
        free = [name for name in gone if Ref(subscription.type_url, name) not in in_use]
        if subscription.type_url != CLUSTER:
            return free
        self._leaving = {name: self._leaving.get(name, now + self._drain) for name in free}
        return [name for name, when in self._leaving.items() if when <= now]

    def _in_use(self) -> Set[Ref]:
        """Return what is required or revived by outdated resources that the client may still hold."""
        held = [resource for other in self._subscriptions.values() for resource in other.outdated()]
        revived = {resource.revives for resource in held if resource.revives}
        return revived.union(*(resource.requires for resource in held))

    def _advance(self, subscription: Subscription, due: Due) -> bytes | None:
        response = self._variant.write(due, subscription, self._view)
        if response is None:
            return None
        for name, resource in response.moves.items():
            if resource and resource.revives:
                self._revive(resource.revives, known=subscription.held(name) is not None)
        self._nonces += 1
        nonce = f"{self._nonces:x}"
        self._last_nonce[subscription.type_url] = nonce
        subscription.launch(nonce, response.moves)
        return response.body + delimited(self._variant.nonce_field, nonce.encode())

    def _revive(self, ref: Ref, *, known: bool) -> None:
        """Have a resource sent again; if it is not subscribed yet and the client may think that it is
        ``known`` from an earlier stream, once it is.
        """
        subscription = self._subscriptions.get(ref.type_url)
        if subscription and subscription.covers(ref.name):
            subscription.forced.add(ref.name)
        elif known:
            self._owed.add(ref)
