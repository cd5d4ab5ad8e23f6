"""What a client holds of one type, noted only where it differs from what the client is to hold."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Self

from xds.cache import Ref, Resource
from xds.protocol.events import Change
from xds.protocol.names import SubscribedNames
from xds.protocol.types import named_on_demand
from xds.type_urls import CLUSTER, ENDPOINT
from xds.wire import Status

_NO_NAMES: frozenset[str] = frozenset()


class InitialVersion(Resource):
    """A version from an earlier stream (``initial_resource_versions``): only name and version are known."""

    __slots__ = ()

    @classmethod
    def of_name(cls, type_url: str, name: str, version: str) -> Self:
        """Make one. The endpoints of a cluster have its name, unless ``service_name`` says another."""
        warms = Ref(ENDPOINT, name) if type_url == CLUSTER else None
        return cls(type_url, name, b"", version, warms=warms)


@dataclass(slots=True)
class SentResponse:
    """A response that the client has not answered yet."""

    number: int
    """Counts the responses of this type on this stream, from 1."""
    changes: Mapping[str, Change]
    """By name; for a ``repeated`` name, held and sent are the same. Streams in step share one mapping."""
    repeated: Set[str]
    """Names whose current version was sent before and is only listed once more."""
    leaving: Set[str]
    """Those of ``repeated`` that the client holds only until nothing requires them."""

    @property
    def sent(self) -> dict[str, Resource | None]:
        """What the client is asked to take, by name; None for a removal."""
        return {name: sent for name, (_, sent) in self.changes.items()}


@dataclass(frozen=True, slots=True)
class Rejection:
    """The client rejected the version that it is to hold, and holds another one.

    A NACK does not say which resource of the response was at fault. When one of ``nacked_together`` changes,
    all of them are sent again.
    """

    held: Resource | None
    """What the client holds; None: nothing."""
    nacked_together: frozenset[str]
    """The names in the rejected response, this one included."""
    reason: Status
    """What the client said (``error_detail``)."""


class ClientState:
    """Every resource of one type where the client does not hold, or may not hold, what it is to hold.

    A name of which nothing is noted is in step: the client acknowledged the version that the view has.
    ``states`` has the table of what can happen to a name.
    """

    __slots__ = (
        "_sent_count",
        "_subscribed",
        "behind",
        "confirmed",
        "never_acked",
        "rejected",
        "unanswered",
        "uncertain",
    )

    def __init__(self, subscribed: SubscribedNames) -> None:
        # What the client subscribes to; written by the subscription.
        self._subscribed = subscribed
        # Responses sent so far; written by ``record_sent``.
        self._sent_count = 0
        # What the client holds (None: nothing) once it has taken all that was sent, where that is not what
        # it is to hold. Written when view or subscription change, cleared when the response is made.
        self.behind: dict[str, Resource | None] = {}
        # By nonce, oldest first. Written by ``record_sent``, cleared by ``acknowledge`` and ``reject``.
        self.unanswered: dict[str, SentResponse] = {}
        # The client rejected what it is to hold. Written by ``reject``, cleared when that changes or is sent
        # again. The only record of a NACK.
        self.rejected: dict[str, Rejection] = {}
        # The client may hold this instead. It rejected this, or its removal, together with others, and may
        # have taken it all the same (Envoy takes what it finds no fault with). Or this was on its way when
        # the client unsubscribed and subscribed again. Cleared by an ACK.
        self.uncertain: dict[str, Resource] = {}
        # The client has not acknowledged any version since it subscribed, or since the resource was last
        # removed. Only an ACK of the response of this number, or of a later one, counts.
        self.never_acked: dict[str, int] = {}
        # Whether the client acknowledged anything on this stream, or told its initial versions. Until then
        # it may hold more than is noted here. Written by ``acknowledge`` and the initial versions.
        self.confirmed = False

    def held(self, name: str) -> Resource | None:
        """Return what the client holds of a resource once it has taken all that was sent."""
        if name in self.behind:
            return self.behind[name]
        if name in self.rejected:
            return self.rejected[name].held
        return self._subscribed.target(name)

    def noted(self) -> set[str]:
        """Return the names of which anything is noted, apart from unanswered responses."""
        return {*self.behind, *self.rejected, *self.uncertain, *self.never_acked}

    def unanswered_names(self) -> set[str]:
        """Return the names in responses that the client has not answered."""
        return {name for response in self.unanswered.values() for name in response.changes}

    def unsettled(self) -> set[str]:
        """Return the names of which it is not known what the client holds now."""
        return self.unanswered_names() | self.uncertain.keys()

    def outdated(self) -> Iterator[Resource]:
        """Yield the versions that the client may hold and is not to hold."""
        for held in self.behind.values():
            if held:
                yield held
        for rejection in self.rejected.values():
            if rejection.held:
                yield rejection.held
        yield from self.uncertain.values()
        for response in self.unanswered.values():
            yield from (held for held, _ in response.changes.values() if held)

    # Subscriptions

    def subscribed(self, name: str) -> None:
        """Note a new subscription: the client holds nothing of it, but may take what is on its way."""
        self.behind[name] = None
        self.never_acked[name] = self._sent_count + 1
        if sent := self._last_sent(name):
            self.uncertain[name] = sent

    def subscribed_all(self, names: Sequence[str]) -> None:
        """Note many new subscriptions at once."""
        if self.unanswered:
            for name in names:
                self.subscribed(name)
        else:
            self.behind |= dict.fromkeys(names)
            self.never_acked |= dict.fromkeys(names, self._sent_count + 1)

    def unsubscribed(self, name: str, held: Resource | None = None) -> None:
        """Note the end of a subscription; ``held`` stays if the client still subscribes to an alias of it.

        Of what it brought from an earlier stream, the aliases are not known.
        """
        for notes in (self.behind, self.rejected, self.uncertain, self.never_acked):
            notes.pop(name, None)
        may_have_alias = isinstance(held, InitialVersion) and named_on_demand(held.type_url)
        if held and (self._subscribed.wants(held) or (may_have_alias and self._subscribed.names)):
            self.behind[name] = held

    def mark_in_flight_uncertain(self, names: Iterable[str]) -> Iterator[str]:
        """Note that the client subscribed to these names and may take what is on its way of them.

        Yield those of which it is to hold nothing: they must be removed.
        """
        for name in names:
            if not self._subscribed.target(name) and (sent := self._last_sent(name)):
                self.uncertain[name] = sent
                yield name

    def _last_sent(self, name: str) -> Resource | None:
        responses = reversed(self.unanswered.values())
        last = next((response for response in responses if name in response.changes), None)
        return last.changes[name].sent if last else None

    def set_initial(self, name: str, other: Resource | None) -> None:
        """Note what the client holds from an earlier stream: the target, or some ``other`` version."""
        self.never_acked.pop(name, None)
        self.behind.pop(name, None)
        if other:
            self.behind[name] = other

    def set_all_initial(self) -> None:
        """Note that the client holds all that it is to hold from an earlier stream."""
        self.behind, self.never_acked, self.confirmed = {}, {}, True

    # Changes of the view

    def changed(self, name: str, was: Resource | None) -> None:
        """Note that the client is to hold something else than before (``was``)."""
        rejection = self.rejected.pop(name, None)
        held = self.behind.get(name, rejection.held if rejection else was)
        self._note(name, held)
        if held is None and self._subscribed.target(name):
            self.never_acked[name] = self._sent_count + 1
        elif held is None and name not in self.uncertain:
            self.never_acked.pop(name, None)

    def retry(self, changed: Set[str]) -> Iterator[str]:
        """Have everything sent again that was rejected together with something in ``changed``.

        Yield the names that must be sent although, by the notes, the client holds them.
        """
        for name, rejection in list(self.rejected.items()):
            if not rejection.nacked_together.isdisjoint(changed):
                del self.rejected[name]
                self._note(name, rejection.held)
                if name not in self.behind:
                    yield name  # it was sent although it had not changed
        for name in changed & self.uncertain.keys():
            first = self.never_acked.get(name, 0)
            on_its_way = (name in each.changes and each.number >= first for each in self.unanswered.values())
            if not any(on_its_way):
                yield name

    def _note(self, name: str, held: Resource | None) -> None:
        if self._same(held, self._subscribed.target(name)):
            self.behind.pop(name, None)
        else:
            self.behind[name] = held

    def _same(self, held: Resource | None, target: Resource | None) -> bool:
        if held is None or target is None:
            return held is target
        initial = isinstance(held, InitialVersion)
        return held.version == (self._subscribed.version_of(target) if initial else target.version)

    # Responses and their answers

    def record_sent(self, nonce: str, sent: Mapping[str, Resource | None], repeated: Set[str]) -> None:
        """Note a response with ``sent``, which also lists the names in ``repeated`` once more."""
        self._sent_count += 1
        changes: dict[str, Change] = {
            name: Change(self.held(name), resource) for name, resource in sent.items()
        }
        changes |= {name: Change(held := self.held(name), held) for name in repeated}
        leaving = {name for name in repeated if changes[name].held is not self._subscribed.target(name)}
        self.unanswered[nonce] = SentResponse(self._sent_count, changes, repeated, leaving)
        for name in sent:
            self.rejected.pop(name, None)

    def record_sent_behind(self, nonce: str, changes: Mapping[str, Change]) -> None:
        """Note a response with all that was behind, and nothing else.

        ``changes`` are those of another stream that was sent the same.
        """
        self._sent_count += 1
        for name, held in self.behind.items():
            if changes[name].held is not held:  # the other one held something else
                changes = {name: Change(held, changes[name].sent) for name, held in self.behind.items()}
                break
        self.unanswered[nonce] = SentResponse(self._sent_count, changes, _NO_NAMES, _NO_NAMES)
        self.behind = {}

    def clear_behind(self, names: Iterable[str]) -> None:
        """Note that what was due for these names is sent."""
        for name in names:
            self.behind.pop(name, None)
        self.behind = self.behind or {}  # an emptied dict keeps the memory of all that it ever held

    def clear_uncertain(self, names: Iterable[str]) -> None:
        """Note that the client holds what it is to hold of these names."""
        for name in names:
            self.uncertain.pop(name, None)

    def acknowledge(self, nonce: str) -> Mapping[str, Change] | None:
        """Note an ACK of a response, and of those before it: a client takes them in order.

        Return what it held and holds now; None if no response with this nonce awaits an answer.
        """
        if nonce not in self.unanswered:
            return None
        self.confirmed = True
        if len(self.unanswered) == 1 and not (self.uncertain or self.never_acked):
            return self.unanswered.pop(nonce).changes  # as nearly always
        acked: dict[str, Change] = {}
        while nonce in self.unanswered:
            response = self.unanswered.pop(next(iter(self.unanswered)))
            for name, (held, sent) in response.changes.items():
                acked[name] = Change(acked[name].held if name in acked else held, sent)
                if self.never_acked.get(name, 0) > response.number:
                    continue
                if self.uncertain.pop(name, None) and sent:
                    self._holds_after_all(name, sent)
                if sent or not self._subscribed.target(name):
                    self.never_acked.pop(name, None)
        self.never_acked = self.never_acked or {}
        return acked

    def _holds_after_all(self, name: str, sent: Resource) -> None:
        """Note an ACK of what was on its way while the client unsubscribed and subscribed again."""
        answered = name in self.behind or any(name in each.changes for each in self.unanswered.values())
        if not answered and not self._subscribed.target(name) and self._subscribed.wants(sent):
            self.behind[name] = sent

    def reject(self, nonce: str, reason: Status) -> SentResponse | None:
        """Note a NACK of a response, and the ACK of those before it.

        Return the response; None if no response with this nonce awaits an answer.
        """
        if nonce not in self.unanswered:
            return None
        order = list(self.unanswered)
        response = self.unanswered.pop(nonce)
        if place := order.index(nonce):
            self.acknowledge(order[place - 1])
        together = frozenset(name for name, sent in response.sent.items() if sent)
        for name, (held, sent) in response.changes.items():
            if name in response.repeated and held is sent:
                continue
            still_held = held
            if sent is None and held and together and self._subscribed.wants(held):
                # Envoy removes what a response leaves out, whatever else in it was at fault.
                self.uncertain[name], still_held = held, None
            self._still_holds(name, Rejection(still_held, together, reason), response.number)
            if sent and len(together) > 1 and self._subscribed.wants(sent):
                self.uncertain[name] = sent
        return response

    def _still_holds(self, name: str, rejection: Rejection, number: int) -> None:
        # Since the response of this number, the client may have unsubscribed and subscribed again, or the
        # resource may have been removed and created again. Then what it held before says nothing any more.
        first = self.never_acked.get(name, 0)
        later = next((each for each in self.unanswered.values() if name in each.changes), None)
        if later and (later.number >= first) == (number >= first):
            later.changes = {**later.changes, name: Change(rejection.held, later.changes[name].sent)}
        elif number < first:
            return
        elif name in self.behind:
            self._note(name, rejection.held)
        elif (
            self._subscribed.target(name)
            or (rejection.held and self._subscribed.wants(rejection.held))
            or name in self.uncertain  # a removal of what it may hold: it must be told again
        ):
            self.rejected[name] = rejection
