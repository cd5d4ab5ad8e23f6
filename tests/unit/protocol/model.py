"""An independent model of an xDS client and of what a server may send it, kept apart from the code it tests.

Knows the specification and the wire format alone: nothing of ``xds.protocol`` is imported here.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST)
"""In the order in which they are to be sent."""
COLLECTIONS = (CLUSTER, LISTENER, VIRTUAL_HOST)
"""Types of which everything can be asked for."""
COMPLETE = (CLUSTER, LISTENER)
"""Types of which a response, in the state of the world, lists everything."""
STAR = "*"


@dataclass(frozen=True)
class Thing:
    """A resource as the test made it. All of it can be read from its body, as a real client would."""

    type_url: str
    name: str
    content: str
    requires: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    on_demand: bool = False

    @property
    def body(self) -> bytes:
        fields = (
            self.type_url,
            self.name,
            self.content,
            ",".join(sorted(self.requires)),
            ",".join(self.aliases),
            "on demand" if self.on_demand else "",
        )
        return "|".join(fields).encode()

    @classmethod
    def read(cls, body: bytes) -> "Thing":
        type_url, name, content, requires, aliases, on_demand = body.decode().split("|")
        return cls(
            type_url,
            name,
            content,
            frozenset(filter(None, requires.split(","))),
            tuple(filter(None, aliases.split(","))),
            bool(on_demand),
        )

    @property
    def bad(self) -> bool:
        """Whether clients reject it."""
        return "bad" in self.content

    @property
    def names(self) -> set[str]:
        return {self.name, *self.aliases}


@dataclass
class Subscribed:
    """What is wanted of one type."""

    everything: bool = False
    names: set[str] = field(default_factory=set)

    def wants(self, thing: Thing) -> bool:
        return (self.everything and not thing.on_demand) or not self.names.isdisjoint(thing.names)

    def wanted(self, things: Iterable[Thing]) -> dict[str, Thing]:
        return {thing.name: thing for thing in things if self.wants(thing)}


@dataclass(frozen=True)
class Request:
    """A request of either variant: ``names`` are of the state of the world, those before of delta."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    have: Mapping[str, Thing] = field(default_factory=dict)
    """What the client holds at the begin of a stream; only delta has words for it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, Thing] = field(default_factory=dict)
    """The clusters that have their endpoints for sure; it does not say that."""
    names: tuple[str, ...] = ()
    version: str = ""
    whole: bool = False
    """Whether that version was all there was; it does not say that."""
    nonce: str = ""
    error: bool = False


@dataclass(frozen=True)
class Response:
    """A response of either variant."""

    type_url: str
    nonce: str
    things: Mapping[str, Thing]
    gone: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    version: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
    """Whether this is all there was of the type when it was sent."""


class Client:
    """What an xDS client does, as far as it matters here; Envoy-like in what it rejects and asks for.

    It takes responses in order, answers each, follows the clusters that it holds with requests for their
    endpoints, and keeps what it holds over a reconnect.
    """

    def __init__(self, *, delta: bool, picky: bool, trusting: bool) -> None:
        self.delta = delta
        self.picky = picky
        """Whether it rejects a response as a whole, as opposed to the bad resources in it."""
        self.trusting = trusting
        """Whether it rejects nothing."""
        self.held: dict[str, dict[str, Thing]] = {type_url: {} for type_url in TYPES}
        self.versions: dict[str, dict[str, str]] = {type_url: {} for type_url in TYPES}
        self.version: dict[str, str] = {}
        self.whole: dict[str, bool] = {}
        self.nonce: dict[str, str] = {}
        self.subscribed: dict[str, Subscribed] = {}
        self.explicit: set[str] = set()
        """Types of which it named anything on this stream."""
        self.begun: set[str] = set()
        """Types that it asked for on this stream."""
        self.awaited: dict[str, set[str]] = {type_url: set() for type_url in TYPES}
        """Names that it awaits an answer to."""
        self.warming: set[str] = set()
        """Clusters that wait for endpoints."""
        self.in_rejected: set[str] = set()
        """Clusters that came with a response that it rejected."""
        self.sending: deque[Request] = deque()

    # SubscribedNames

    def want(self, type_url: str, names: Iterable[str]) -> None:
        subscribed = self.subscribed.setdefault(type_url, Subscribed())
        new = tuple(sorted(set(names)))
        if STAR in new:
            subscribed.everything = True
        subscribed.names |= {*new} - {STAR}
        self.awaited[type_url] |= {*new}
        self._ask(type_url, subscribe=new)

    def unwant(self, type_url: str, names: Iterable[str]) -> None:
        subscribed = self.subscribed[type_url]
        old = tuple(sorted({*names} & {*subscribed.names, STAR}))
        subscribed.names -= {*old}
        if STAR in old:
            subscribed.everything = False
        self.awaited[type_url] -= {*old}
        # Under the wildcard a delta client does not know whether it is to keep what it named.
        if not (self.delta and subscribed.everything):
            dropped = [name for name, each in self.held[type_url].items() if not subscribed.wants(each)]
            self._drop(type_url, dropped)
            if dropped:
                self.version[type_url] = ""
        self._ask(type_url, unsubscribe=old)
        if type_url == CLUSTER:
            self._follow_clusters()

    def _ask(self, type_url: str, subscribe: tuple[str, ...] = (), unsubscribe: tuple[str, ...] = ()) -> None:
        if type_url not in self.begun:
            self._begin(type_url, anew=False)
        elif self.delta:
            self.sending.append(Request(type_url, subscribe, unsubscribe))
        else:
            self.sending.append(self._state(type_url))

    def _begin(self, type_url: str, *, anew: bool) -> None:
        """Send the first request of a type on this stream."""
        subscribed = self.subscribed[type_url]
        names = tuple(sorted(subscribed.names))
        legacy = subscribed.everything and not names and not anew
        self.begun.add(type_url)
        self.awaited[type_url] = {*names} | ({STAR} if subscribed.everything else set())
        if not self.delta:
            if not legacy:
                self.explicit.add(type_url)
            self.sending.append(replace(self._state(type_url), have=dict(self.held[type_url])))
            return
        stars = (STAR,) if subscribed.everything and not legacy else ()
        have = dict(self.held[type_url])
        self.awaited[type_url] -= set().union(*(each.names for each in have.values()))
        if have:
            self.awaited[type_url].discard(STAR)
        versions = dict(self.versions[type_url])
        clusters = {
            name: each
            for name, each in self.held[CLUSTER].items()
            if name not in self.warming | self.in_rejected
        }
        request = Request(type_url, (*stars, *names), have=have, versions=versions, clusters=clusters)
        self.sending.append(request)

    def _state(self, type_url: str, *, error: bool = False) -> Request:
        subscribed = self.subscribed[type_url]
        if subscribed.names:
            self.explicit.add(type_url)
        stars = (STAR,) if subscribed.everything and type_url in self.explicit else ()
        return Request(
            type_url,
            names=(*stars, *sorted(subscribed.names)),
            version=self.version.get(type_url, ""),
            whole=self.whole.get(type_url, False),
            nonce=self.nonce.get(type_url, ""),
            error=error,
        )

    # Streams

    def reconnect(self, *, restarted: bool) -> None:
        """Begin a new stream; a client that was restarted holds nothing."""
        self.sending.clear()
        self.nonce.clear()
        self.begun.clear()
        self.explicit.clear()
        if restarted:
            for type_url in TYPES:
                self._drop(type_url, list(self.held[type_url]))
            self.version.clear()
            self.warming.clear()
        for type_url in TYPES:
            if type_url in self.subscribed and (
                self.subscribed[type_url].everything or self.subscribed[type_url].names
            ):
                self._begin(type_url, anew=self.delta)

    # Responses

    def receive(self, response: Response) -> None:
        """Take a response, or reject it, and answer."""
        type_url = response.type_url
        bad = any(map(self._rejects, response.things.values()))
        if not bad or not self.picky:
            self._take(response)
        if bad and type_url == CLUSTER:
            self.in_rejected |= response.things.keys()
        self._heard(response)
        self.nonce[type_url] = response.nonce
        if self.delta:
            self.sending.append(Request(type_url, nonce=response.nonce, error=bad))
        else:
            if not bad and response.things.keys() <= self.held[type_url].keys():
                self.version[type_url] = response.version
                self.whole[type_url] = response.whole
            elif not (bad and self.picky):
                # Envoy keeps its version over a rejection of which it took the good resources, and brings it
                # along to the next stream: no server can know better. This client is honest.
                self.version[type_url] = ""
            self.sending.append(self._state(type_url, error=bad))
        if type_url == CLUSTER:
            self._follow_clusters()

    def _rejects(self, thing: Thing) -> bool:
        return thing.bad and not self.trusting

    def _take(self, response: Response) -> None:
        type_url = response.type_url
        subscribed = self.subscribed[type_url]
        for name, thing in response.things.items():
            if self._rejects(thing):
                continue
            if not subscribed.wants(thing):
                self._drop(type_url, [name])
                continue
            if type_url == CLUSTER and self.held[CLUSTER].get(name) != thing:
                self.warming.add(name)
            if type_url == ENDPOINT:
                self.warming.discard(name)
            self.held[type_url][name] = thing
            self.versions[type_url][name] = response.versions.get(name, "")
        self._drop(type_url, response.gone)
        if not self.delta and type_url in COMPLETE:
            self._drop(type_url, [name for name in self.held[type_url] if name not in response.things])

    def _heard(self, response: Response) -> None:
        awaited = self.awaited[response.type_url]
        awaited -= {STAR, *response.gone, *response.absent}
        for thing in response.things.values():
            awaited -= thing.names
        if response.type_url == ENDPOINT:
            self.warming -= {*response.gone}

    def _drop(self, type_url: str, names: Iterable[str]) -> None:
        for name in names:
            self.held[type_url].pop(name, None)
            self.versions[type_url].pop(name, None)
            if type_url == CLUSTER:
                self.warming.discard(name)

    def _follow_clusters(self) -> None:
        subscribed = self.subscribed.setdefault(ENDPOINT, Subscribed())
        held = self.held[CLUSTER].keys()
        if new := held - subscribed.names:
            self.want(ENDPOINT, new)
        if old := subscribed.names - held:
            self.unwant(ENDPOINT, old)
