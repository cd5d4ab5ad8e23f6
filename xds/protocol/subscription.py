"""One type on one stream: what the client wants, and where it differs from the view."""

from collections.abc import Iterable, Iterator, Mapping

from xds.cache import Ref, Resource, View

WILDCARD = "*"


Flight = dict[str, tuple[Resource | None, Resource | None]]
"""A response that the client has not answered: by name, what it held before and what it was sent."""


def _version(resource: Resource | None) -> str | None:
    return resource.version if resource else None


class Subscription:
    """What a client wants of one type, and every name at which it differs from the view.

    For a name that is wanted and in none of the maps below, the client holds what the view holds.

    - ``behind``: the client holds this (None: nothing), the view something else;
    - ``forced``: to be answered even if nothing changed;
    - ``flights``: sent and not answered yet, by nonce, oldest first;
    - ``refused``: the client rejected what the view holds and still holds this;
    - ``lacking``: the client never acknowledged any version of this.
    """

    def __init__(self, type_url: str, view: View) -> None:
        self.type_url = type_url
        self.wildcard = False
        self.names: set[str] = set()
        self.behind: dict[str, Resource | None] = {}
        self.forced: set[str] = set()
        self.flights: dict[str, Flight] = {}
        self.refused: dict[str, Resource | None] = {}
        self.lacking: set[str] = set()
        self._view = view

    def covers(self, name: str) -> bool:
        """Whether the client wants this name, by itself or under the wildcard."""
        return self.wildcard or name in self.names

    def current(self, name: str) -> Resource | None:
        """Return what the view holds."""
        return self._view.get(Ref(self.type_url, name))

    # What the client wants

    def subscribe(self, name: str) -> None:
        """Want one more name. One that was wanted already is answered again."""
        if self.covers(name):
            self.forced.add(name)
        else:
            self._begin(name)
        self.names.add(name)

    def unsubscribe(self, name: str) -> None:
        """Want one name less; under the wildcard it stays wanted and is answered once more."""
        if name not in self.names:
            return
        self.names.discard(name)
        if self.wildcard:
            self.forced.add(name)
        else:
            self._end(name)

    def subscribe_all(self) -> None:
        """Want whatever there is, now and later (``*``)."""
        fresh = [name for name in self._view.resources(self.type_url) if not self.covers(name)]
        if self.wildcard:
            self.forced.update(self._view.resources(self.type_url))
        self.wildcard = True
        for name in fresh:
            self._begin(name)

    def unsubscribe_all(self) -> None:
        """Take ``*`` back; what is wanted by name stays wanted."""
        self.wildcard = False
        for kept in (self.behind, self.refused):
            for name in [name for name in kept if name not in self.names]:
                del kept[name]
        self.forced &= self.names
        self.lacking &= self.names

    def resume(self, versions: Mapping[str, str]) -> None:
        """Take note of what the client brought along from an earlier stream, name by name.

        Only for names wanted, before anything was sent (``initial_resource_versions``).
        """
        for name, version in versions.items():
            if not self.covers(name):
                continue
            self.lacking.discard(name)
            self.forced.discard(name)
            self._note(name, Resource(self.type_url, name, b"", version))

    def resume_all(self) -> None:
        """Take note that the client brought along exactly what the view holds."""
        self.behind.clear()
        self.forced.clear()
        self.lacking.clear()

    def _begin(self, name: str) -> None:
        if self.current(name):
            self.behind[name] = None
            self.lacking.add(name)
        else:
            self.forced.add(name)

    def _end(self, name: str) -> None:
        self.behind.pop(name, None)
        self.refused.pop(name, None)
        self.forced.discard(name)
        self.lacking.discard(name)

    # What the view says

    def changed(self, before: Mapping[str, Resource | None]) -> None:
        """Take note that the view changed, given what it held before."""
        for name, was in before.items():
            if self.covers(name):
                self._changed(name, was)

    def _changed(self, name: str, was: Resource | None) -> None:
        held = self.behind[name] if name in self.behind else self.refused.pop(name, was)
        self._note(name, held)
        if held is None:
            (self.lacking.add if self.current(name) else self.lacking.discard)(name)

    def _note(self, name: str, held: Resource | None) -> None:
        if _version(held) == _version(self.current(name)):
            self.behind.pop(name, None)
        else:
            self.behind[name] = held

    # What is due

    def due(self) -> Iterator[tuple[str, Resource | None]]:
        """Yield each name that awaits a response, with what the view holds (None: nothing any more)."""
        for name in self.behind:
            yield name, self.current(name)
        for name in self.forced - self.behind.keys():
            yield name, self.current(name)

    def held(self, name: str) -> Resource | None:
        """Return what the client holds of a name that it wants, once it has taken all that was sent."""
        for exceptions in (self.behind, self.refused):
            if name in exceptions:
                return exceptions[name]
        return self.current(name)

    def launch(self, nonce: str, sent: Mapping[str, Resource | None]) -> None:
        """Take note that a response went out."""
        self.flights[nonce] = {name: (self.held(name), resource) for name, resource in sent.items()}
        self.dismiss(sent)
        for name in sent:
            self.refused.pop(name, None)

    def dismiss(self, names: Iterable[str]) -> None:
        """Take note that what is due at these names needs no response."""
        for name in names:
            self.behind.pop(name, None)
            self.forced.discard(name)

    # What the client answered

    def acknowledge(self, nonce: str) -> dict[str, Resource | None] | None:
        """Settle a response and those before it, since a client takes them in order.

        Return what the client now has, None if no response with this nonce is waiting for an answer.
        """
        if nonce not in self.flights:
            return None
        landed: dict[str, Resource | None] = {}
        while nonce in self.flights:
            landed |= _sent(self.flights.pop(next(iter(self.flights))))
        self.lacking.difference_update(name for name, resource in landed.items() if resource)
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
        for name, (held, _) in rejected.items():
            if self.covers(name):
                self._still_holds(name, held)
        return _sent(rejected)

    def _still_holds(self, name: str, held: Resource | None) -> None:
        later = next((flight for flight in self.flights.values() if name in flight), None)
        if later is not None:
            later[name] = (held, later[name][1])
        elif name in self.behind:
            self._note(name, held)
        else:
            self.refused[name] = held

    def outdated(self) -> Iterator[Resource]:
        """Yield the versions that the client may still hold though the view has others, or none."""
        for held in (*self.behind.values(), *self.refused.values()):
            if held:
                yield held
        for flight in self.flights.values():
            yield from (held for held, _ in flight.values() if held)


def _sent(flight: Flight) -> dict[str, Resource | None]:
    return {name: sent for name, (_, sent) in flight.items()}
