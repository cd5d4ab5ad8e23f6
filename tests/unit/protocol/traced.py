"""A stream that counts the transitions of every name and checks the invariants of ``protocol.states``."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from xds.cache import Changes
from xds.protocol import Event, Stream
from xds.protocol.states import NameState, Trigger, state_of
from xds.protocol.subscription import Subscription
from xds.protocol.variants import Request

Transition = tuple[NameState, Trigger, NameState]


class TracedStream(Stream):
    """Counts transitions over all streams of this class."""

    seen: ClassVar[Counter[Transition]] = Counter()
    untold: Callable[[], bool]
    """Whether the view has changes that this stream was not told of: then nothing can be said of it."""

    def on_change(self, changes: Changes) -> None:
        # What changed, changed before this call: the state before it was that of what there was.
        before = {
            (type_url, name): self._state_before(type_url, name, changes)
            for type_url, name in self._names(changes)
        }
        super().on_change(changes)
        self._note(before, Trigger.VIEW_CHANGED)

    def poll(self, now: float) -> bytes | None:
        with self._traced(Trigger.RESPONSE_SENT):
            return super().poll(now)

    def handle_ack(self, request: Request) -> Event | None:
        with self._traced(Trigger.NACK if request.error else Trigger.ACK):
            return super().handle_ack(request)

    def read(self, request: Request) -> Iterator[None]:
        with self._traced(Trigger.NAMES_READ):
            yield from super().read(request)

    def _names(self, changes: Changes | None = None) -> set[tuple[str, str]]:
        names = set()
        for type_url, subscription in self.subscriptions.items():
            client = subscription.client
            noted = client.noted() | client.unanswered_names() | subscription.subscribed.names
            noted |= self._view.resources(type_url).keys() | set((changes or {}).get(type_url, ()))
            names |= {(type_url, name) for name in noted}
        return names

    def _state(self, type_url: str, name: str) -> NameState:
        subscription = self.subscriptions.get(type_url)
        return state_of(subscription, name) if subscription else NameState.ABSENT

    def _state_before(self, type_url: str, name: str, changes: Changes) -> NameState:
        now = self._state(type_url, name)
        if name not in changes.get(type_url, {}):
            return now
        was = changes[type_url][name]
        had_target = was is not None and self.subscriptions[type_url].subscribed.wants(was)
        match now:
            case NameState.DUE | NameState.REMOVAL_DUE:
                return NameState.DUE if had_target else NameState.REMOVAL_DUE
            case NameState.IN_STEP | NameState.ABSENT:
                return NameState.IN_STEP if had_target else NameState.ABSENT
            case _:
                return now

    @contextmanager
    def _traced(self, trigger: Trigger) -> Iterator[None]:
        if self.untold():
            yield
            return
        before = {each: self._state(*each) for each in self._names()}
        yield
        self._note(before, trigger)

    def _note(self, before: dict[tuple[str, str], NameState], trigger: Trigger) -> None:
        for type_url, name in before.keys() | self._names():
            was, now = before.get((type_url, name), NameState.ABSENT), self._state(type_url, name)
            if was is not now:
                self.seen[was, trigger, now] += 1
        for subscription in self.subscriptions.values():
            _check(subscription)


def _check(subscription: Subscription) -> None:
    client, subscribed = subscription.client, subscription.subscribed
    assert not client.behind.keys() & client.rejected.keys(), "due and rejected"
    for name, rejection in client.rejected.items():
        held = rejection.held is not None and subscribed.wants(rejection.held)
        held = held or name in client.uncertain
        assert subscribed.target(name) or held, "rejected, and neither wanted nor held"
    sent = max((response.number for response in client.unanswered.values()), default=None)
    for first in client.never_acked.values():
        assert sent is None or first <= sent + 1, "never acknowledged before a response that was never sent"
