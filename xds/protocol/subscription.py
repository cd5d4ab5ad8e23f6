"""One type on one stream: what the client subscribes to, and what is due to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from xds.cache import Resource, View
from xds.protocol.client_state import ClientState, InitialVersion, SentResponse
from xds.protocol.events import Change
from xds.protocol.names import WILDCARD, SubscribedNames, glob_of
from xds.protocol.responses import ABSENT
from xds.wire import Status


class Subscription:
    """What a client subscribes to of one type, what it holds of that, and which names await an answer."""

    __slots__ = ("_view", "client", "omitted", "subscribed", "to_answer")

    def __init__(self, type_url: str, view: View) -> None:
        # The view of the node; written by others.
        self._view = view
        # The names that the client subscribes to; written by requests.
        self.subscribed = SubscribedNames(type_url, view)
        # What the client holds; written by requests, changes of the view and responses.
        self.client = ClientState(self.subscribed)
        # Names that must be answered even if nothing changed: as the client wrote them, of resources, or
        # ``*``. A dict for its order. Written by requests and changes of the view, cleared by responses.
        self.to_answer: dict[str, None] = {}
        # Names that stale requests left out (state of the world). Written by requests.
        self.omitted: set[str] = set()

    @property
    def type_url(self) -> str:
        """The type."""
        return self.subscribed.type_url

    def find(self, name: str) -> Resource | None:
        """Return the resource in the view that has this name or alias, if the client subscribes to it."""
        return next(iter(self.subscribed.wanted(name)), None)

    # Requests

    def subscribe(self, name: str) -> None:
        """Subscribe to one more name, or to all (``*``). A name subscribed before is answered again."""
        if name == WILDCARD:
            self._subscribe_all()
            return
        matches = self.subscribed.matches(name)
        fresh = [resource.name for resource in matches if not self.subscribed.wants(resource)]
        # The view's own string where there is one: a thousand clients subscribe to the same names.
        self.subscribed.names.add(matches[0].name if matches and matches[0].name == name else name)
        if self.client.unanswered:
            self._must_answer(self.client.mark_in_flight_uncertain([name]))
        for each in fresh:
            self.client.subscribed(each)
        self.to_answer[name] = None
        for resource in matches:
            self.to_answer[resource.name] = None

    def unsubscribe(self, name: str) -> None:
        """Unsubscribe from one name. Under the wildcard, the client must be told what it is to hold then."""
        if name == WILDCARD:
            self._unsubscribe_all()
            return
        if name not in self.subscribed.names:
            return
        matches = [resource.name for resource in self.subscribed.matches(name)]
        held = {each: self.client.held(each) for each in {name, *matches}}
        self.subscribed.names.discard(name)
        self.to_answer.pop(name, None)
        for each, before in held.items():
            if not self.subscribed.target(each):
                self._end(each, before)
        if self.subscribed.wildcard:
            self._must_answer(matches or [name])

    def _subscribe_all(self) -> None:
        """Subscribe to all resources, of now and later (``*``). An empty view is an answer, too."""
        included = [each for each in self._view.resources(self.type_url).values() if not each.on_demand]
        self._must_answer([WILDCARD])
        if self.subscribed.wildcard:
            self._must_answer(resource.name for resource in included)
            return
        fresh = [resource.name for resource in included if not self.subscribed.wants(resource)]
        self.subscribed.wildcard = True
        self._must_answer(self.client.mark_in_flight_uncertain(self.client.unanswered_names()))
        self.client.subscribed_all(fresh)

    def _unsubscribe_all(self) -> None:
        """Unsubscribe from ``*``; names subscribed to besides stay."""
        held = {name: self.client.held(name) for name in self.client.noted()}
        self.subscribed.wildcard = False
        for name, before in held.items():
            if name not in self.subscribed.names and not self.subscribed.target(name):
                self._end(name, before)
        self.to_answer = {
            name: None
            for name in self.to_answer
            if name in self.subscribed.names or self.subscribed.wanted(name)
        }

    def resume(self, initial: tuple[str, str]) -> None:
        """Note a name and version that the client holds from an earlier stream.

        Only before anything was sent (``initial_resource_versions``).
        """
        name, version = initial
        self.to_answer.pop(WILDCARD, None)
        self.client.confirmed = True
        if version == ABSENT:
            return
        target = self.subscribed.target(name)
        current = target and self.subscribed.version_of(target) == version
        if current:
            self._answered(name, target)
        other = None if current else InitialVersion.of_name(self.type_url, name, version)
        self.client.set_initial(name, other)

    def resume_all(self) -> None:
        """Note that the client holds exactly what the view has from an earlier stream."""
        self.to_answer = {}
        self.client.set_all_initial()

    def _end(self, name: str, held: Resource | None = None) -> None:
        self.to_answer.pop(name, None)
        self.client.unsubscribed(name, held)

    # Changes of the view

    def changed(self, before: Mapping[str, Resource | None]) -> None:
        """Note that the view changed, given what it held before, by name."""
        for name in self.subscribed.among(before.keys()):
            was = before[name]
            known = was if was and self.subscribed.wants(was) else None
            if known or self.subscribed.target(name):
                self.client.changed(name, known)
                self._answer_unless_confirmed()
        if self.client.rejected or self.client.uncertain:
            self._must_answer(self.client.retry(before.keys()))

    # What is due

    @property
    def has_due(self) -> bool:
        """Whether anything is due to be sent, removed or answered; it may still have to wait."""
        return bool(self.client.behind or self.to_answer)

    @property
    def settled(self) -> bool:
        """Whether nothing is due and every response is answered."""
        return not (self.client.behind or self.to_answer or self.client.unanswered)

    def due(self) -> Iterator[Resource]:
        """Yield what is due to be sent."""
        for name in self.client.behind:
            if target := self.subscribed.target(name):
                yield target
        for name in self.to_answer:
            for resource in self.subscribed.wanted(name):
                if resource.name not in self.client.behind:
                    yield resource

    def missing(self) -> list[str]:
        """Return the names that await an answer, of which neither view nor client has anything."""
        return [
            name
            for name in self.to_answer
            if name != WILDCARD and name not in self.client.behind and not self.subscribed.wanted(name)
        ]

    def gone(self) -> list[str]:
        """Return the names of what the client holds and is to hold no more."""
        return [name for name in self.client.behind if not self.subscribed.target(name)]

    def rejected(self) -> dict[str, Resource]:
        """Return what the client is to hold and rejected, by name."""
        targets = ((name, self.subscribed.target(name)) for name in self.client.rejected)
        return {name: target for name, target in targets if target}

    def answer(self, name: str) -> None:
        """Have a name answered if the client subscribes to it, whatever the client holds of it."""
        if name in self.subscribed.names or self.subscribed.target(name):
            self.to_answer[name] = None

    def pass_over(self, names: Sequence[str]) -> None:
        """Send nothing for these names, where the variant has no word for a removal.

        The client removes what it has of them together with what refers to it.
        """
        self._clear_due(names)
        self.client.clear_uncertain(names)

    def _clear_due(self, names: Sequence[str]) -> None:
        if self.to_answer:
            for name in names:
                self._answered(name, self.subscribed.target(name))
                if not self.to_answer:
                    break
            self.to_answer = self.to_answer or {}  # an emptied dict keeps the memory of all it ever held
        self.client.clear_behind(names)

    # Responses and their answers

    def record_sent(self, nonce: str, sent: Mapping[str, Resource | None], repeated: Set[str]) -> None:
        """Note that a response with ``sent`` was made; it also lists the names in ``repeated`` once more."""
        self.client.record_sent(nonce, sent, repeated)
        self._clear_due((WILDCARD, *sent))

    def reject(self, nonce: str, reason: Status) -> Mapping[str, Change] | None:
        """Note that the client rejected a response.

        Return what was rejected; None if no response with this nonce awaits an answer.
        """
        response = self.client.reject(nonce, reason)
        if response is None:
            return None
        superseded = {
            name for name, sent in response.sent.items() if sent and self._superseded(sent, response)
        }
        if superseded:
            self._answer_unless_confirmed()
            self._must_answer(self.client.retry(superseded))
        return response.changes

    def _superseded(self, sent: Resource, response: SentResponse) -> bool:
        """Whether something else would be sent now."""
        if sent.name in response.leaving:
            return self.client.held(sent.name) is not sent
        current = self._view.get(sent.ref)
        return current is None or current.version != sent.version

    def _must_answer(self, names: Iterable[str]) -> None:
        self.to_answer |= dict.fromkeys(names)

    def _answer_unless_confirmed(self) -> None:
        """Tell the client what there is, even if that is nothing: it may hold more than is noted."""
        if not self.client.confirmed and not self.client.unanswered:
            self._must_answer([WILDCARD])

    def _answered(self, name: str, resource: Resource | None) -> None:
        self.to_answer.pop(name, None)
        if resource and self.to_answer:
            for other in (*resource.aliases, glob_of(name) or name):
                self.to_answer.pop(other, None)
