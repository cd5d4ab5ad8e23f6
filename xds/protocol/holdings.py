"""What a client holds of one type, noted only where that is not what it is to hold."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Self

from xds.cache import Ref, Resource
from xds.protocol.wishes import Wishes
from xds.type_urls import CLUSTER, ENDPOINT


class Brought(Resource):
    """A version from an earlier stream, known by its name and version alone."""

    __slots__ = ()

    @classmethod
    def known_as(cls, type_url: str, name: str, version: str) -> Self:
        """Make what stands for it; a cluster's endpoints have its name, if ``service_name`` says no other."""
        revives = Ref(ENDPOINT, name) if type_url == CLUSTER else None
        return cls(type_url, name, b"", version, revives=revives)


@dataclass(frozen=True, slots=True)
class Flight:
    """A response that the client has not answered: by name, what it held before and what it was sent."""

    number: int
    moves: dict[str, tuple[Resource | None, Resource | None]]
    again: Set[str]
    """Names that it only repeats."""
    leaving: Set[str]
    """Names of those that the client holds only until nothing needs them."""

    @property
    def sent(self) -> dict[str, Resource | None]:
        """What the client is asked to take, by name; None for a removal."""
        return {name: sent for name, (_, sent) in self.moves.items()}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the client holds of a resource of which it rejected what it was to hold.

    Nothing says which resource of a response was at fault: when one of the ``company`` that it came in
    changes, all are tried again.
    """

    held: Resource | None
    company: frozenset[str]


class Holdings:
    """Every resource of one type that the client does not hold, or may not hold, as it is to.

    - ``behind``: the client holds this (None: nothing) once it has taken all that was sent;
    - ``flights``: sent and not answered yet, by nonce, oldest first;
    - ``refused``: the client rejected what it is to hold and still holds something else;
    - ``doubts``: the client may hold this instead: it rejected it in company, and may have taken it all the
      same, as Envoy takes what it finds no fault with; or it was in flight when it was taken back and
      wanted again;
    - ``lacking``: the client has not acknowledged any version of this since it began to want it, or since
      it was told to remove it: an answer counts from the flight of this number on.
    """

    __slots__ = ("_launched", "_wishes", "behind", "doubts", "flights", "lacking", "refused", "sure")

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._launched = 0
        self.behind: dict[str, Resource | None] = {}
        self.flights: dict[str, Flight] = {}
        self.refused: dict[str, Refusal] = {}
        self.doubts: dict[str, Resource] = {}
        self.lacking: dict[str, int] = {}
        self.sure = False
        """Whether the client took anything on this stream, or said what it brought along."""

    def held(self, name: str) -> Resource | None:
        """Return what the client holds of a resource once it has taken all that was sent."""
        if name in self.behind:
            return self.behind[name]
        if name in self.refused:
            return self.refused[name].held
        return self._wishes.target(name)

    def noted(self) -> set[str]:
        """Return the names that anything is noted of, but for what is in flight."""
        return {*self.behind, *self.refused, *self.doubts, *self.lacking}

    def unanswered(self) -> set[str]:
        """Return the names that are in a response that the client has not answered."""
        return {name for flight in self.flights.values() for name in flight.moves}

    def unsettled(self) -> set[str]:
        """Return the names of which it is not known what the client holds now."""
        return self.unanswered() | self.doubts.keys()

    def outdated(self) -> Iterator[Resource]:
        """Yield the versions that the client may hold though it is to hold others, or none."""
        for held in self.behind.values():
            if held:
                yield held
        for refusal in self.refused.values():
            if refusal.held:
                yield refusal.held
        yield from self.doubts.values()
        for flight in self.flights.values():
            yield from (held for held, _ in flight.moves.values() if held)

    # What the client wants and brings along

    def begin(self, name: str) -> None:
        """Take note that the client comes to want a resource: it holds nothing of it, but may yet take what
        is in flight.
        """
        self.behind[name] = None
        self.lacking[name] = self._launched + 1
        if sent := self._in_flight(name):
            self.doubts[name] = sent

    def end(self, name: str, held: Resource | None = None) -> None:
        """Take note that the client wants a resource no more, unless by an alias that only ``held`` has."""
        for notes in (self.behind, self.refused, self.doubts, self.lacking):
            notes.pop(name, None)
        if held and self._wishes.wants(held):
            self.behind[name] = held

    def recall(self, names: Iterable[str]) -> Iterator[str]:
        """Take note that the client, which comes to want these, may take what is in flight of them.

        Yield those of which it is to hold nothing, unless it is about to be told so.
        """
        for name in names:
            if not self._wishes.target(name) and (sent := self._in_flight(name)):
                self.doubts[name] = sent
                yield name

    def _in_flight(self, name: str) -> Resource | None:
        last = next((flight for flight in reversed(self.flights.values()) if name in flight.moves), None)
        return last.moves[name][1] if last else None

    def brought(self, name: str, other: Resource | None) -> None:
        """Take note that the client brought along what it is to hold, or some ``other`` version."""
        self.lacking.pop(name, None)
        self.behind.pop(name, None)
        if other:
            self.behind[name] = other

    def brought_all(self) -> None:
        """Take note that the client brought along all that it is to hold."""
        self.behind, self.lacking, self.sure = {}, {}, True

    # What it is to hold

    def changed(self, name: str, was: Resource | None) -> None:
        """Take note that the client is to hold something else of a resource than before."""
        refusal = self.refused.pop(name, None)
        held = self.behind.get(name, refusal.held if refusal else was)
        self._note(name, held)
        if held is None and self._wishes.target(name):
            self.lacking[name] = self._launched + 1
        elif held is None and name not in self.doubts:
            self.lacking.pop(name, None)

    def release(self, changed: Set[str]) -> Iterator[str]:
        """Have tried again what was rejected together with something that changed.

        Yield the names that are to be sent though the client has them by our notes.
        """
        for name, refusal in list(self.refused.items()):
            if not refusal.company.isdisjoint(changed):
                del self.refused[name]
                self._note(name, refusal.held)
                if name not in self.behind:
                    yield name  # it had been sent although nothing had changed
        for name in changed & self.doubts.keys():
            anew = self.lacking.get(name, 0)
            if not any(name in flight.moves and flight.number >= anew for flight in self.flights.values()):
                yield name

    def _note(self, name: str, held: Resource | None) -> None:
        if self._same(held, self._wishes.target(name)):
            self.behind.pop(name, None)
        else:
            self.behind[name] = held

    def _same(self, held: Resource | None, target: Resource | None) -> bool:
        if held is None or target is None:
            return held is target
        known_as = self._wishes.version_of(target) if isinstance(held, Brought) else target.version
        return held.version == known_as

    # What was sent, and what the client said of it

    def launch(self, nonce: str, sent: Mapping[str, Resource | None], again: Set[str]) -> None:
        """Take note that a response went out; it repeats what was sent of the names in ``again``."""
        self._launched += 1
        moves = {name: (self.held(name), resource) for name, resource in sent.items()}
        moves |= {name: (held := self.held(name), held) for name in again}
        leaving = {name for name in again if moves[name][0] is not self._wishes.target(name)}
        self.flights[nonce] = Flight(self._launched, moves, again, leaving)
        for name in sent:
            self.refused.pop(name, None)

    def dismiss(self, names: Iterable[str]) -> None:
        """Take note that what is due at these names is done."""
        for name in names:
            self.behind.pop(name, None)
        self.behind = self.behind or {}  # an emptied dict keeps the memory of all that it ever held

    def trust(self, names: Iterable[str]) -> None:
        """Take note that the client holds of these what it is to hold."""
        for name in names:
            self.doubts.pop(name, None)

    def acknowledge(self, nonce: str) -> dict[str, Resource | None] | None:
        """Settle a response and those before it, since a client takes them in order.

        Return what the client now has, None if no response with this nonce is waiting for an answer.
        """
        if nonce not in self.flights:
            return None
        self.sure = True
        landed: dict[str, Resource | None] = {}
        while nonce in self.flights:
            flight = self.flights.pop(next(iter(self.flights)))
            landed |= flight.sent
            for name, (_, sent) in flight.moves.items():
                if self.lacking.get(name, 0) > flight.number:
                    continue
                self.doubts.pop(name, None)
                if sent or not self._wishes.target(name):
                    self.lacking.pop(name, None)
        self.lacking = self.lacking or {}
        return landed

    def reject(self, nonce: str) -> Flight | None:
        """Settle a response that the client rejected, and those before it as taken.

        Return it, None if no response with this nonce is waiting for an answer.
        """
        if nonce not in self.flights:
            return None
        order = list(self.flights)
        rejected = self.flights.pop(nonce)
        if place := order.index(nonce):
            self.acknowledge(order[place - 1])
        company = frozenset(name for name, sent in rejected.sent.items() if sent)
        for name, (held, sent) in rejected.moves.items():
            if name in rejected.again and held is sent:
                continue
            self._still_holds(name, Refusal(held, company), rejected.number)
            if sent and len(company) > 1 and self._wishes.wants(sent):
                self.doubts[name] = sent
        return rejected

    def _still_holds(self, name: str, refusal: Refusal, number: int) -> None:
        # A name that was unsubscribed and subscribed again, or removed and created again, since that flight
        # has begun anew: what the client held before then says nothing of what it holds after.
        anew = self.lacking.get(name, 0)
        later = next((flight for flight in self.flights.values() if name in flight.moves), None)
        if later and (later.number >= anew) == (number >= anew):
            later.moves[name] = (refusal.held, later.moves[name][1])
        elif number < anew:
            return
        elif name in self.behind:
            self._note(name, refusal.held)
        elif self._wishes.target(name) or (refusal.held and self._wishes.wants(refusal.held)):
            self.refused[name] = refusal
