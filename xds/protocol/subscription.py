"""One type on one stream: what the client wants, and what is due to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from xds.cache import Resource, View
from xds.protocol.holdings import Brought, Flight, Holdings
from xds.protocol.names import WILDCARD, glob_of
from xds.protocol.responses import ABSENT
from xds.protocol.wishes import Wishes


class Subscription:
    """What a client wants of one type, what it holds of that, and what it awaits an answer to.

    ``asked`` are names that are to be answered even if nothing changed: as the client wrote them, of
    resources, or ``*``.
    """

    __slots__ = ("_view", "asked", "holdings", "omitted", "wishes")

    def __init__(self, type_url: str, view: View) -> None:
        self.wishes = Wishes(type_url, view)
        self.holdings = Holdings(self.wishes)
        self.asked: dict[str, None] = {}
        self.omitted: set[str] = set()
        """Names that stale requests left out."""
        self._view = view

    @property
    def type_url(self) -> str:
        """The type."""
        return self.wishes.type_url

    def find(self, name: str) -> Resource | None:
        """Return what the view holds of what the client calls by this name, if the client wants it."""
        return next(iter(self.wishes.wanted(name)), None)

    # What the client wants

    def subscribe(self, name: str) -> None:
        """Want one more name, or all (``*``). One that was wanted already is answered again."""
        if name == WILDCARD:
            self._subscribe_all()
            return
        matches = self.wishes.matches(name)
        fresh = [resource.name for resource in matches if not self.wishes.wants(resource)]
        # The view's own string where there is one: a thousand clients want the same names.
        self.wishes.names.add(matches[0].name if matches and matches[0].name == name else name)
        if self.holdings.flights:
            self._ask(self.holdings.recall([name]))
        for each in fresh:
            self.holdings.begin(each)
        self.asked[name] = None
        for resource in matches:
            self.asked[resource.name] = None

    def unsubscribe(self, name: str) -> None:
        """Want one name less; under the wildcard the client must be told what it is to hold then."""
        if name == WILDCARD:
            self._unsubscribe_all()
            return
        if name not in self.wishes.names:
            return
        matches = [resource.name for resource in self.wishes.matches(name)]
        held = {each: self.holdings.held(each) for each in {name, *matches}}
        self.wishes.names.discard(name)
        self.asked.pop(name, None)
        for each, before in held.items():
            if not self.wishes.target(each):
                self._end(each, before)
        if self.wishes.everything:
            self._ask(matches or [name])

    def _subscribe_all(self) -> None:
        """Want whatever there is, now and later (``*``). The client awaits an answer even to nothing."""
        included = [each for each in self._view.resources(self.type_url).values() if not each.on_demand]
        self._ask([WILDCARD])
        if self.wishes.everything:
            self._ask(resource.name for resource in included)
            return
        fresh = [resource for resource in included if not self.wishes.wants(resource)]
        self.wishes.everything = True
        self._ask(self.holdings.recall(self.holdings.unanswered()))
        for resource in fresh:
            self.holdings.begin(resource.name)

    def _unsubscribe_all(self) -> None:
        """Take ``*`` back; what is wanted by name stays wanted."""
        held = {name: self.holdings.held(name) for name in self.holdings.noted()}
        self.wishes.everything = False
        for name, before in held.items():
            if name not in self.wishes.names and not self.wishes.target(name):
                self._end(name, before)
        self.asked = {
            name: None for name in self.asked if name in self.wishes.names or self.wishes.wanted(name)
        }

    def resume(self, brought: tuple[str, str]) -> None:
        """Take note of a name and version that the client brought along from an earlier stream.

        Only before anything was sent (``initial_resource_versions``).
        """
        name, version = brought
        self.asked.pop(WILDCARD, None)
        self.holdings.sure = True
        if version == ABSENT:
            return
        target = self.wishes.target(name)
        self._answered(name, target)
        current = target and self.wishes.version_of(target) == version
        self.holdings.brought(name, None if current else Brought.known_as(self.type_url, name, version))

    def resume_all(self) -> None:
        """Take note that the client brought along exactly what the view holds."""
        self.asked = {}
        self.holdings.brought_all()

    def _end(self, name: str, held: Resource | None = None) -> None:
        self.asked.pop(name, None)
        self.holdings.end(name, held)

    # What the view says

    def changed(self, before: Mapping[str, Resource | None]) -> None:
        """Take note that the view changed, given what it held before."""
        for name in self.wishes.among(before.keys()):
            was = before[name]
            known = was if was and self.wishes.wants(was) else None
            if known or self.wishes.target(name):
                self.holdings.changed(name, known)
                self._ask_unless_sure()
        if self.holdings.refused or self.holdings.doubts:
            self._ask(self.holdings.release(before.keys()))

    # What is due

    @property
    def awaits(self) -> bool:
        """Whether anything awaits being sent, removed or answered."""
        return bool(self.holdings.behind or self.asked)

    def due(self) -> Iterator[Resource]:
        """Yield what awaits being sent."""
        for name in self.holdings.behind:
            if target := self.wishes.target(name):
                yield target
        for name in self.asked:
            for resource in self.wishes.wanted(name):
                if resource.name not in self.holdings.behind:
                    yield resource

    def missing(self) -> list[str]:
        """Return the names that the client awaits an answer to, has nothing of, and is to have nothing of."""
        return [
            name
            for name in self.asked
            if name != WILDCARD and name not in self.holdings.behind and not self.wishes.wanted(name)
        ]

    def gone(self) -> list[str]:
        """Return what the client holds and is to hold no more."""
        return [name for name in self.holdings.behind if not self.wishes.target(name)]

    def refused(self) -> dict[str, Resource]:
        """Return what the client is to hold and rejected, by name."""
        targets = ((name, self.wishes.target(name)) for name in self.holdings.refused)
        return {name: target for name, target in targets if target}

    def ask(self, name: str) -> None:
        """Have a name answered, if it is wanted, whatever the client holds of it."""
        if name in self.wishes.names or self.wishes.target(name):
            self.asked[name] = None

    def pass_over(self, names: Sequence[str]) -> None:
        """Take note that there is no word for what is due at these names: nothing goes by them any more, and
        the client lets go of what it has of them along with what refers to it.
        """
        self._dismiss(names)
        self.holdings.trust(names)

    def _dismiss(self, names: Sequence[str]) -> None:
        if self.asked:
            for name in names:
                self._answered(name, self.wishes.target(name))
            self.asked = self.asked or {}  # an emptied dict keeps the memory of all that it ever held
        self.holdings.dismiss(names)

    # What was sent, and what the client said of it

    def launch(self, nonce: str, sent: Mapping[str, Resource | None], again: Set[str]) -> None:
        """Take note that a response went out; it repeats what was sent of the names in ``again``."""
        self.holdings.launch(nonce, sent, again)
        self._dismiss((WILDCARD, *sent))

    def reject(self, nonce: str) -> dict[str, Resource | None] | None:
        """Settle a response that the client rejected.

        Return what was rejected, None if no response with this nonce is waiting for an answer.
        """
        rejected = self.holdings.reject(nonce)
        if rejected is None:
            return None
        changed = {name for name, sent in rejected.sent.items() if sent and self._moved_on(sent, rejected)}
        if changed:
            self._ask_unless_sure()
            self._ask(self.holdings.release(changed))
        return rejected.sent

    def _moved_on(self, sent: Resource, rejected: Flight) -> bool:
        """Whether something else would be sent now."""
        if sent.name in rejected.leaving:
            return self.holdings.held(sent.name) is not sent
        current = self._view.get(sent.ref)
        return current is None or current.version != sent.version

    def _ask(self, names: Iterable[str]) -> None:
        self.asked |= dict.fromkeys(names)

    def _ask_unless_sure(self) -> None:
        """Have the client told what there is, even if that is nothing by our notes: it may have more."""
        if not self.holdings.sure and not self.holdings.flights:
            self._ask([WILDCARD])

    def _answered(self, name: str, resource: Resource | None) -> None:
        self.asked.pop(name, None)
        if resource and self.asked:
            for other in (*resource.aliases, glob_of(name) or name):
                self.asked.pop(other, None)
