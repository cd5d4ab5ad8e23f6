"""What a server may conclude of one stream, from what it sent and heard: the judge of its responses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tests.unit.protocol.model import (
    COLLECTIONS,
    COMPLETE,
    STAR,
    TYPES,
    Request,
    Response,
    Subscribed,
    Thing,
)
from xds.type_urls import CLUSTER, ENDPOINT

Truth = Mapping[str, Mapping[str, Thing]]


@dataclass
class Sent:
    """A response that was not answered yet: what it makes of each name, and what it may be rejected for."""

    nonce: str
    changes: dict[str, Thing | None]
    together: Mapping[str, Thing]
    again: frozenset[str]
    """What it brings again that was removed without a word."""
    outdated: bool = False
    """Whether any of that is not, or not any more, what there is."""


@dataclass
class TypeLedger:
    """One type of one stream."""

    subscribed: Subscribed = field(default_factory=Subscribed)
    explicit: bool = False
    settled: dict[str, Thing] = field(default_factory=dict)
    """What the client certainly holds."""
    uncertain: dict[str, Thing] = field(default_factory=dict)
    """What it may hold instead, from a response that it rejected."""
    rejected: dict[str, tuple[Thing, frozenset[str]]] = field(default_factory=dict)
    """What it rejected, and with what else, since when nothing of that changed."""
    rejected_before: set[Thing] = field(default_factory=set)
    """All that was in responses that it ever rejected: whether that comes again is up to the server."""
    sent: list[Sent] = field(default_factory=list)
    to_answer: set[str] = field(default_factory=set)
    """Names that may be sent although nothing changed."""
    unsure: set[str] = field(default_factory=set)
    """Names that it brought along, rejected or dropped: it may always be told that they are gone."""
    omitted: set[str] = field(default_factory=set)
    """Names that stale requests left out."""
    silently_removed: set[str] = field(default_factory=set)
    """Names of what was removed without a word for it, and may have been created again since."""
    sure: bool = False
    """Whether the client took anything on this stream, or told what it has, so that it has nothing else."""
    last_nonce: str = ""

    def held(self) -> dict[str, Thing]:
        """What the client holds once it has taken all that was sent."""
        held = dict(self.settled)
        for sent in self.sent:
            for name, thing in sent.changes.items():
                if thing:
                    held[name] = thing
                else:
                    held.pop(name, None)
        return held

    def may_hold(self) -> Iterable[Thing]:
        """All that the client may hold now or while it takes what was sent."""
        things = [*self.settled.values(), *self.uncertain.values()]
        for sent in self.sent:
            things += [thing for thing in sent.changes.values() if thing]
        return [thing for thing in things if thing.name not in self.silently_removed]

    def take(self, changes: Mapping[str, Thing | None]) -> None:
        """The client took a response."""
        self.sure = True
        for name, thing in changes.items():
            self.uncertain.pop(name, None)
            self.rejected.pop(name, None)
            if thing:
                self.settled[name] = thing
            else:
                self.settled.pop(name, None)

    def drop(self) -> None:
        """The client drops what it does not subscribe to any more."""
        wants = self.subscribed.wants
        for kept in (self.settled, self.uncertain):
            for name in [name for name, thing in kept.items() if not wants(thing)]:
                self.unsure.add(name)
                del kept[name]
        for name in [name for name, (thing, _) in self.rejected.items() if not wants(thing)]:
            del self.rejected[name]
        for sent in self.sent:
            for name in [name for name, thing in sent.changes.items() if thing and not wants(thing)]:
                self.unsure.add(name)
                del sent.changes[name]

    def begin(self, names: Iterable[str]) -> None:
        """The client subscribes to these: it holds nothing of them, but may take what is on its way."""
        for name in names:
            for kept in (self.settled, self.uncertain, self.rejected):
                kept.pop(name, None)
            for sent in self.sent:
                sent.changes.pop(name, None)
        for sent in self.sent:
            for name, thing in sent.together.items():
                if name not in sent.changes and self.subscribed.wants(thing):
                    self.uncertain[name] = thing
                    self.to_answer.add(name)

    def ask(self, names: Iterable[str], things: Mapping[str, Thing]) -> None:
        for name in names:
            self.to_answer.add(name)
            self.to_answer |= {thing.name for thing in things.values() if name in thing.names}


class Ledger:
    """One stream. ``emitted`` asserts what must be so of each response."""

    def __init__(self, *, delta: bool, drain: int) -> None:
        self._delta = delta
        self._drain = drain
        self._types: dict[str, TypeLedger] = {}
        self._warmed: set[str] = set()

    # What the server is told

    def heard(self, request: Request, truth: Truth) -> None:
        type_url = request.type_url
        first = type_url not in self._types
        kept = self._types.setdefault(type_url, TypeLedger())
        things = truth[type_url]
        self._settle(kept, request)
        if self._delta:
            self._names_changed(kept, request, first, things)
        elif first or request.nonce in {"", kept.last_nonce}:
            self._names_stated(kept, request, first, things)
        else:
            kept.explicit = kept.explicit or bool(request.names)
            kept.omitted |= (kept.subscribed.names | {STAR}) - {*request.names}
        if first and type_url == ENDPOINT:
            kept.to_answer |= self._warmed
            settled = {name for name, thing in request.clusters.items() if truth[CLUSTER].get(name) == thing}
            kept.to_answer |= request.have.keys() - settled

    def changed(self, type_url: str, names: Iterable[str]) -> None:
        """The truth changed."""
        if kept := self._types.get(type_url):
            names = set(names)
            for sent in kept.sent:
                sent.outdated = sent.outdated or not names.isdisjoint(sent.together)
            kept.rejected = {
                name: (thing, together)
                for name, (thing, together) in kept.rejected.items()
                if together.isdisjoint(names)
            }

    def polled(self, truth: Truth) -> None:
        """The server was asked for a response."""
        if self._delta:
            return
        for type_url, kept in self._types.items():
            # There is no word for these removals: the client drops them with what refers to them.
            if type_url not in COMPLETE:
                gone = (kept.held().keys() | kept.uncertain.keys()) - truth[type_url].keys()
                kept.silently_removed |= gone
                # What was sent before it was gone once more says nothing of what the client has after that.
                kept.sent = [replace(sent, again=sent.again - gone) for sent in kept.sent]

    def _settle(self, kept: TypeLedger, request: Request) -> None:
        if all(sent.nonce != request.nonce for sent in kept.sent):
            return
        while True:
            sent = kept.sent.pop(0)
            answered = sent.nonce == request.nonce
            if answered and request.error:
                things = {name: thing for name, thing in sent.changes.items() if thing}
                together = frozenset(sent.together)
                for name, thing in things.items():
                    # The last rejection counts; what was in it and changed since is as good as new.
                    kept.rejected.pop(name, None)
                    if not sent.outdated:
                        kept.rejected[name] = (thing, together)
                kept.unsure |= sent.together.keys()
                kept.rejected_before |= {*sent.together.values()}
                if len(sent.together) > 1:
                    kept.uncertain |= things
                for name in (sent.changes.keys() - things.keys()) & kept.settled.keys():
                    # It may have removed this all the same.
                    kept.uncertain[name] = kept.settled.pop(name)
            else:
                # What it unsubscribed from, and subscribed to again before it answered, it took all the same.
                taken = {name: thing for name, thing in sent.together.items() if kept.subscribed.wants(thing)}
                kept.take(taken | sent.changes)
                kept.silently_removed -= sent.again
            if answered:
                return

    def _names_changed(
        self, kept: TypeLedger, request: Request, first: bool, things: Mapping[str, Thing]
    ) -> None:
        subscribed = kept.subscribed
        before = subscribed.wanted(things.values())
        if (first and not request.subscribe and request.type_url in COLLECTIONS) or STAR in request.subscribe:
            kept.to_answer |= {STAR, *(before if subscribed.everything else ())}
            subscribed.everything = True
        subscribed.names |= {*request.subscribe} - {STAR}
        kept.ask({*request.subscribe} - {STAR}, things)
        dropped = subscribed.names & {*request.unsubscribe}
        subscribed.names -= dropped
        if STAR in request.unsubscribe:
            subscribed.everything = False
        if subscribed.everything:
            kept.ask(dropped, things)
        self._begin(kept, before, things)
        if first:
            kept.settled = dict(request.have)
            kept.unsure = set(request.have)
            if request.have:
                kept.to_answer.discard(STAR)
            for name, thing in request.have.items():
                kept.to_answer -= thing.names if things.get(name) == thing else set()

    def _names_stated(
        self, kept: TypeLedger, request: Request, first: bool, things: Mapping[str, Thing]
    ) -> None:
        subscribed = kept.subscribed
        kept.explicit = kept.explicit or bool(request.names)
        before = subscribed.wanted(things.values())
        everything = STAR in request.names or (not kept.explicit and request.type_url in COLLECTIONS)
        if everything and not subscribed.everything:
            kept.to_answer.add(STAR)
        names = {*request.names} - {STAR}
        kept.ask(names - subscribed.names | names & kept.omitted, things)
        if STAR in kept.omitted and everything:
            kept.to_answer |= {STAR, *things}
        kept.omitted.clear()
        if not everything:
            kept.to_answer |= subscribed.names - names if subscribed.everything else set()
        elif subscribed.names - names:
            kept.ask(subscribed.names - names, things)
        subscribed.everything, subscribed.names = everything, names
        self._begin(kept, before, things)
        all_of_it = request.whole and request.have == subscribed.wanted(things.values())
        if first and everything and not names and request.version and all_of_it:
            # Its version may say so; then nothing need be sent, and it has nothing else.
            kept.settled, kept.sure = dict(request.have), True

    def _begin(self, kept: TypeLedger, before: Mapping[str, Thing], things: Mapping[str, Thing]) -> None:
        kept.drop()
        kept.begin(kept.subscribed.wanted(things.values()).keys() - before.keys())

    # What the server says

    def emitted(self, response: Response, truth: Truth, gone_since: Mapping[str, int], now: int) -> None:
        """Note a response, having judged it; ``gone_since`` is when clusters left the truth."""
        type_url = response.type_url
        kept = self._types[type_url]
        held = kept.held()
        complete = not self._delta and type_url in COMPLETE
        omitted = held.keys() - response.things.keys() if complete else set()
        changed = {name for name, thing in response.things.items() if held.get(name) != thing}
        leaving = held.keys() & {*response.gone, *omitted} if type_url == CLUSTER else set()
        for name in leaving & gone_since.keys():
            assert now - gone_since[name] >= self._drain, "a cluster left before it was drained"
        self._judge(response, changed, omitted, truth)
        changes: dict[str, Thing | None] = dict.fromkeys((*response.gone, *omitted))
        said = {*response.things}
        if complete:
            # It says everything. What was not answered yet it may be rejected for again.
            again = {name for sent in kept.sent for name in sent.changes}
            said = changed | kept.to_answer | kept.uncertain.keys() | again
            changes |= {name: response.things.get(name) for name in again}
        changes |= {name: thing for name, thing in response.things.items() if name in said}
        self._note(response, changes, truth)

    def _judge(self, response: Response, changed: set[str], omitted: set[str], truth: Truth) -> None:
        type_url = response.type_url
        kept = self._types[type_url]
        held = kept.held()
        complete = not self._delta and type_url in COMPLETE
        for name, thing in response.things.items():
            self._judge_thing(kept, thing, held, truth, complete=complete)
            if name in changed:
                self._judge_order(thing, truth)
        if changed:
            earlier = TYPES[: TYPES.index(type_url)]
            assert not self._pending(truth, earlier), "there was something to be sent before this"
        for name in (*response.gone, *omitted):
            self._judge_removal(type_url, name, truth)
        if complete and not kept.sure:
            there = kept.subscribed.wanted(truth[type_url].values())
            missing = {
                each for each in there.keys() - response.things.keys() if there[each] in kept.rejected_before
            }
            assert not missing, f"{missing} are not listed, of which the client may hold an earlier version"
        news = changed | omitted if complete else {*response.things, *response.gone, *response.absent}
        awaited = kept.to_answer or kept.uncertain or not kept.sure
        assert news or awaited, "a response that says nothing, to a client that awaits nothing"

    def _note(self, response: Response, changes: dict[str, Thing | None], truth: Truth) -> None:
        type_url = response.type_url
        kept = self._types[type_url]
        together = {name: thing for name, thing in changes.items() if thing}
        outdated = any(truth[type_url].get(name) != thing for name, thing in together.items())
        silently_removed = frozenset(kept.silently_removed & response.things.keys())
        kept.sent.append(Sent(response.nonce, changes, together, silently_removed, outdated))
        kept.last_nonce = response.nonce
        if type_url == CLUSTER:
            warmed = changes.keys() | (kept.uncertain.keys() & response.things)
            self._warmed |= warmed
            if endpoints := self._types.get(ENDPOINT):
                endpoints.to_answer |= warmed
        kept.to_answer -= {STAR, *response.gone, *response.absent}
        for name, thing in response.things.items():
            if truth[type_url].get(name) == thing:
                kept.to_answer -= thing.names

    def _judge_thing(
        self, kept: TypeLedger, thing: Thing, held: Mapping[str, Thing], truth: Truth, *, complete: bool
    ) -> None:
        name = thing.name
        assert kept.subscribed.wants(thing), f"{name} is not wanted"
        if complete and held.get(name) == thing:
            return
        assert truth[thing.type_url].get(name) == thing, f"{name} is not what there is"
        asked = not kept.to_answer.isdisjoint(thing.names)
        unsure = name in kept.uncertain or name in kept.silently_removed
        assert asked or unsure or held.get(name) != thing, f"{name} is sent again"
        rejected, _ = kept.rejected.get(name, (None, None))
        needed = complete and not kept.sure
        assert asked or needed or rejected != thing, f"{name} was rejected and is sent again"

    def _judge_order(self, thing: Thing, truth: Truth) -> None:
        missing = self._unacknowledged(thing, truth)
        assert not missing, f"{thing.name} needs {missing}, which the client has not acknowledged"

    def _unacknowledged(self, thing: Thing, truth: Truth) -> set[str]:
        clusters = self._types.get(CLUSTER)
        if clusters is None:
            return set()
        wanted = thing.requires & clusters.subscribed.wanted(truth[CLUSTER].values()).keys()
        leaving = {name for sent in clusters.sent for name, move in sent.changes.items() if move is None}
        return {name for name in wanted if name not in clusters.settled or name in leaving}

    def _judge_removal(self, type_url: str, name: str, truth: Truth) -> None:
        kept = self._types[type_url]
        there = truth[type_url].get(name)
        wanted = there is not None and kept.subscribed.wants(there)
        assert not wanted or name in kept.uncertain, f"{name} is there and is removed"
        if name not in kept.held():
            known = name in kept.to_answer or name in kept.uncertain or name in kept.unsure
            assert known, f"{name} is removed, which the client neither has nor asked for"
            return
        pending = self._pending(truth)
        assert not pending or name in kept.uncertain, f"{name} is removed before {pending} are sent"
        if type_url == CLUSTER:
            users = {
                thing.name for things in truth.values() for thing in things.values() if name in thing.requires
            }
            users |= {
                thing.name
                for other in self._types.values()
                for thing in other.may_hold()
                if name in thing.requires
            }
            assert not users, f"{name} is removed and {users} need it"
        if type_url == ENDPOINT and CLUSTER in self._types and name not in truth[CLUSTER]:
            clusters = {thing.name for thing in self._types[CLUSTER].may_hold()}
            assert name not in clusters, f"{name} is removed before its cluster"

    def _pending(self, truth: Truth, types: Iterable[str] = TYPES) -> set[str]:
        """What could be sent now and adds to what the client has."""
        return {
            thing.name
            for type_url, kept in self._types.items()
            if type_url in types
            for thing in kept.subscribed.wanted(truth[type_url].values()).values()
            if kept.held().get(thing.name) != thing
            and thing.name not in kept.silently_removed
            and thing not in kept.rejected_before
            and not self._unacknowledged(thing, truth)
        }
