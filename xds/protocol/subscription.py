"""One type on one stream: what the client wants, and where it differs from the view."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Self

from xds.cache import Ref, Resource, View
from xds.protocol.names import WILDCARD, glob_of, is_glob
from xds.protocol.responses import ABSENT
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

    @property
    def sent(self) -> dict[str, Resource | None]:
        """What the client is asked to take, by name; None for a removal."""
        return {name: sent for name, (_, sent) in self.moves.items()}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the client holds of a resource of which it rejected what the view holds.

    Which resource of a response was at fault is not known: when one of the ``company`` that it came in
    changes, all are tried again. Nor is whether the client took the ones that were not, as Envoy does: see
    ``doubts``.
    """

    held: Resource | None
    company: frozenset[str]


def _version(resource: Resource | None) -> str | None:
    return resource.version if resource else None


class Subscription:
    """What a client wants of one type, and every resource at which it differs from the view.

    ``names`` are as the client wrote them: a resource's name, an alias, a glob. A resource that is wanted
    and whose name is in none of the maps below is held by the client as the view holds it.

    - ``behind``: the client holds this (None: nothing), the view something else;
    - ``asked``: names that the client awaits an answer to, even if nothing changed;
    - ``flights``: sent and not answered yet, by nonce, oldest first;
    - ``refused``: the client rejected what the view holds and still holds something else;
    - ``doubts``: the client may hold this instead, having rejected it only in company;
    - ``lacking``: the client has not acknowledged any version of this since it began to want it, or since
      it was told to remove it: an acknowledgement counts from the flight of this number on.
    """

    __slots__ = (
        "_launched",
        "_view",
        "asked",
        "behind",
        "doubts",
        "explicit",
        "flights",
        "lacking",
        "names",
        "refused",
        "sure",
        "type_url",
        "wildcard",
    )

    def __init__(self, type_url: str, view: View) -> None:
        self.type_url = type_url
        self.wildcard = False
        self.names: set[str] = set()
        self.explicit = False
        """Whether the client ever named anything, be it ``*``."""
        self.sure = False
        """Whether the client took anything on this stream, or said what it has: it may have more before."""
        self.behind: dict[str, Resource | None] = {}
        self.asked: dict[str, None] = {}
        self.flights: dict[str, Flight] = {}
        self.refused: dict[str, Refusal] = {}
        self.doubts: dict[str, Resource] = {}
        self.lacking: dict[str, int] = {}
        self._launched = 0
        self._view = view

    def wants(self, resource: Resource) -> bool:
        """Whether the client wants this, by name, alias or glob, or under the wildcard."""
        if self.wildcard and not resource.on_demand:
            return True
        return bool(self.names) and (
            resource.name in self.names
            or not self.names.isdisjoint(resource.aliases)
            or glob_of(resource.name) in self.names
        )

    def find(self, name: str) -> Resource | None:
        """Return what the view holds of what the client calls by this name, if the client wants it."""
        return next(iter(self._wanted(name)), None)

    def target(self, name: str) -> Resource | None:
        """Return what the client is to hold of the resource with this name."""
        resource = self._view.get(Ref(self.type_url, name))
        return resource if resource and self.wants(resource) else None

    def held(self, name: str) -> Resource | None:
        """Return what the client holds of a resource once it has taken all that was sent."""
        if name in self.behind:
            return self.behind[name]
        if name in self.refused:
            return self.refused[name].held
        return self.target(name)

    # What the client wants

    def subscribe(self, name: str) -> None:
        """Want one more name. One that was wanted already is answered again."""
        matches = self._matches(name)
        fresh = [resource for resource in matches if not self.wants(resource)]
        # The view's own string where there is one: a thousand clients want the same names.
        self.names.add(next((each.name for each in matches if each.name == name), name))
        for resource in fresh:
            self._begin(resource)
        self.asked |= dict.fromkeys((name, *(resource.name for resource in matches)))

    def unsubscribe(self, name: str) -> None:
        """Want one name less; under the wildcard the client must be told what it is to hold then."""
        if name not in self.names:
            return
        matches = self._matches(name)
        held = {resource.name: self.held(resource.name) for resource in matches}
        self.names.discard(name)
        self.asked.pop(name, None)
        for resource in matches:
            if not self.wants(resource):
                self._leave(resource.name, held[resource.name])
        if self.wildcard:
            self.asked |= dict.fromkeys(resource.name for resource in matches) or {name: None}
        elif not matches:
            self._end(name)

    def ask(self, name: str) -> None:
        """Await an answer to a name, if it is wanted, whatever the client holds of it."""
        if name in self.names or self.target(name):
            self.asked[name] = None

    def subscribe_all(self) -> None:
        """Want whatever there is, now and later (``*``). The client awaits an answer even to nothing."""
        included = [each for each in self._view.resources(self.type_url).values() if not each.on_demand]
        self.asked[WILDCARD] = None
        if self.wildcard:
            self.asked |= dict.fromkeys(resource.name for resource in included)
            return
        fresh = [resource for resource in included if not self.wants(resource)]
        self.wildcard = True
        for resource in fresh:
            self._begin(resource)

    def unsubscribe_all(self) -> None:
        """Take ``*`` back; what is wanted by name stays wanted."""
        noted = {*self.behind, *self.refused, *self.doubts, *self.lacking}
        held = {name: self.held(name) for name in noted}
        self.wildcard = False
        for name in noted:
            if not self.target(name):
                self._leave(name, held[name])
        self.asked = {name: None for name in self.asked if name in self.names or self._wanted(name)}

    def resume(self, versions: Mapping[str, str]) -> None:
        """Take note of what the client brought along from an earlier stream, name by name.

        Only before anything was sent (``initial_resource_versions``).
        """
        if versions:
            self.asked.pop(WILDCARD, None)
            self.sure = True
        for name, version in versions.items():
            if version == ABSENT:
                continue
            target = self.target(name)
            self.lacking.pop(name, None)
            self._answered(name, target)
            if target and self._view.version_of(target) == version:
                self.behind.pop(name, None)
            else:
                self.behind[name] = Brought.known_as(self.type_url, name, version)

    def resume_all(self) -> None:
        """Take note that the client brought along exactly what the view holds."""
        self.behind, self.asked, self.lacking = {}, {}, {}
        self.sure = True

    def _wanted(self, name: str) -> list[Resource]:
        return [resource for resource in self._matches(name) if self.wants(resource)]

    def _matches(self, name: str) -> list[Resource]:
        if is_glob(name):
            everything = self._view.resources(self.type_url).values()
            return [resource for resource in everything if glob_of(resource.name) == name]
        return self._view.named(Ref(self.type_url, name))

    def _begin(self, resource: Resource) -> None:
        self.behind[resource.name] = None
        self.lacking[resource.name] = self._launched + 1

    def _leave(self, name: str, held: Resource | None) -> None:
        """Take note that a resource is wanted no more, unless by an alias that only what is held has."""
        self._end(name)
        if held and self.wants(held):
            self.behind[name] = held

    def _end(self, name: str) -> None:
        self.behind.pop(name, None)
        self.refused.pop(name, None)
        self.asked.pop(name, None)
        self.doubts.pop(name, None)
        self.lacking.pop(name, None)

    # What the view says

    def changed(self, before: Mapping[str, Resource | None]) -> None:
        """Take note that the view changed, given what it held before."""
        for name, was in before.items():
            known = was if was and self.wants(was) else None
            if known or self.target(name):
                self._changed(name, known)
                self._unless_sure()
        if self.refused:
            self._release(before.keys())

    def _unless_sure(self) -> None:
        """Have the client told what there is, even if that is nothing by our notes: it may have more."""
        if not self.sure and not self.flights:
            self.asked[WILDCARD] = None

    def _changed(self, name: str, was: Resource | None) -> None:
        refusal = self.refused.pop(name, None)
        held = self.behind.get(name, refusal.held if refusal else was)
        self._note(name, held)
        if held is None and self.target(name):
            self.lacking[name] = self._launched + 1
        elif held is None:
            self.lacking.pop(name, None)
        if name in self.doubts:
            self._doubt(name, self.doubts[name], changed=True)

    def _release(self, changed: Set[str]) -> None:
        """Try again what was rejected together with something that changed."""
        for name, refusal in list(self.refused.items()):
            if not refusal.company.isdisjoint(changed):
                del self.refused[name]
                self._note(name, refusal.held)
                if name not in self.behind:
                    self.asked[name] = None  # it had been sent although nothing had changed

    def _note(self, name: str, held: Resource | None) -> None:
        if _version(held) == _version(self.target(name)):
            self.behind.pop(name, None)
        else:
            self.behind[name] = held

    # What is due

    @property
    def awaits(self) -> bool:
        """Whether anything awaits being sent, removed or answered."""
        return bool(self.behind or self.asked)

    def due(self) -> Iterator[Resource]:
        """Yield what awaits being sent."""
        for name in self.behind:
            if target := self.target(name):
                yield target
        for name in self.asked:
            for resource in self._wanted(name):
                if resource.name not in self.behind:
                    yield resource

    def missing(self) -> list[str]:
        """Return the names that the client awaits an answer to, has nothing of, and is to have nothing of."""
        return [
            name
            for name in self.asked
            if name != WILDCARD and name not in self.behind and not self._wanted(name)
        ]

    def gone(self) -> list[str]:
        """Return what the client holds and is to hold no more."""
        return [name for name in self.behind if not self.target(name)]

    def unanswered(self) -> set[str]:
        """Return the names that are in a response that the client has not answered."""
        return {name for flight in self.flights.values() for name in flight.moves}

    def outdated(self) -> Iterator[Resource]:
        """Yield the versions that the client may still hold though the view has others, or none."""
        for held in self.behind.values():
            if held:
                yield held
        for refusal in self.refused.values():
            if refusal.held:
                yield refusal.held
        yield from self.doubts.values()
        for flight in self.flights.values():
            yield from (held for held, _ in flight.moves.values() if held)

    # What was sent, and what the client said of it

    def launch(self, nonce: str, sent: Mapping[str, Resource | None], again: Set[str]) -> None:
        """Take note that a response went out; it repeats what was sent of the names in ``again``."""
        self._launched += 1
        moves = {name: (self.held(name), resource) for name, resource in sent.items()}
        moves |= {name: (held := self.held(name), held) for name in again}
        self.flights[nonce] = Flight(self._launched, moves, again)
        self.asked.pop(WILDCARD, None)
        self.dismiss(sent)
        for name in sent:
            self.refused.pop(name, None)

    def dismiss(self, names: Iterable[str]) -> None:
        """Take note that what is due at these names needs no response."""
        for name in names:
            self._answered(name, self.target(name))
            self.behind.pop(name, None)
        # An emptied dict keeps the memory of all that it ever held.
        self.behind = self.behind or {}
        self.asked = self.asked or {}

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
                self.doubts.pop(name, None)
                if sent and self.lacking.get(name, flight.number + 1) <= flight.number:
                    del self.lacking[name]
        self.lacking = self.lacking or {}
        return landed

    def reject(self, nonce: str) -> dict[str, Resource | None] | None:
        """Settle a response that the client rejected, and those before it as taken.

        Return what was rejected, None if no response with this nonce is waiting for an answer.
        """
        if nonce not in self.flights:
            return None
        order = list(self.flights)
        rejected = self.flights.pop(nonce)
        if place := order.index(nonce):
            self.acknowledge(order[place - 1])
        company = frozenset(name for name, sent in rejected.sent.items() if sent)
        changed = {
            name
            for name in company
            if _version(rejected.sent[name]) != _version(self._view.get(Ref(self.type_url, name)))
        }
        for name, (held, sent) in rejected.moves.items():
            if name in rejected.again and held is sent:
                continue
            self._still_holds(name, Refusal(held, company), rejected.number)
            if sent and len(company) > 1 and self.wants(sent):
                self._doubt(name, sent, changed=name in changed)
        if changed:
            self._unless_sure()
        self._release(changed)
        return rejected.sent

    def _doubt(self, name: str, sent: Resource, *, changed: bool) -> None:
        self.doubts[name] = sent
        if changed and not any(name in flight.moves for flight in self.flights.values()):
            self.asked[name] = None  # even if our note says that the client has it

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
        elif self.target(name) or (refusal.held and self.wants(refusal.held)):
            self.refused[name] = refusal

    def _answered(self, name: str, resource: Resource | None) -> None:
        self.asked.pop(name, None)
        if resource and self.asked:
            for other in (*resource.aliases, glob_of(name) or name):
                self.asked.pop(other, None)
