"""Clients and streams side by side, with everything in between late, slow or lost at the wrong moment."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryResponse, DiscoveryResponse

from tests.unit.protocol.ledger import Ledger
from tests.unit.protocol.model import COMPLETE, TYPES, Client, Request, Response, Thing
from tests.unit.protocol.traced import TracedStream
from xds.cache import Ref, Resource, View
from xds.protocol import DELTA, STATE_OF_THE_WORLD
from xds.server.coalescer import ChangeCoalescers, CoalescedStream
from xds.type_urls import CLUSTER, ENDPOINT
from xds.wire import DeltaRequest, SotwRequest, Status

WIRE = 6
"""Responses that are on their way to a client that does not read."""
ENOUGH = 2_000


class FakeLoop:
    """The clock and the timers of an event loop; they fire when the simulation says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> "FakeTimer":
        timer = FakeTimer(callback)
        self._timers.append(timer)
        return timer

    @property
    def waits(self) -> bool:
        return any(not timer.cancelled for timer in self._timers)

    def fire(self) -> bool:
        """Call whatever waits; return whether anything did."""
        due = [timer for timer in self._timers if not timer.cancelled]
        self._timers = []
        for timer in due:
            timer.callback()
        return bool(due)


class FakeTimer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Connection:
    """One client and its stream, which is told of changes by a coalescer, as in production."""

    def __init__(
        self, view: View, client: Client, coalescers: ChangeCoalescers, loop: FakeLoop, *, drain: int
    ) -> None:
        self.client = client
        self._view = view
        self._coalescers = coalescers
        self._loop = loop
        self._drain = drain
        self._connect()

    def _connect(self) -> None:
        delta = self.client.delta
        self.stream = TracedStream(DELTA if delta else STATE_OF_THE_WORLD, self._view, drain=self._drain)
        self.stream.untold = lambda: self._loop.waits
        self.ledger = Ledger(delta=delta, drain=self._drain)
        self.wire: deque[Response] = deque()
        self.coalesced = CoalescedStream(self.stream, self._view, self._coalescers, lambda: None)

    def reconnect(self, *, restarted: bool) -> None:
        """Lose the stream and all that is on its way, and connect again."""
        self.coalesced.close()
        self.client.reconnect(restarted=restarted)
        self._connect()


class Simulation:
    """A view, what it is to hold, and all who are connected. Time is counted in whole ticks."""

    def __init__(self, *, drain: int = 2) -> None:
        self.truth: dict[str, dict[str, Thing]] = {type_url: {} for type_url in TYPES}
        self.connections: list[Connection] = []
        self.now = 0
        self.drain = drain
        self.loop = FakeLoop()
        self._view = View()
        self._coalescers = ChangeCoalescers(lambda: self.loop)
        self._gone_since: dict[str, int] = {}

    def connect(self, *, delta: bool, picky: bool, trusting: bool) -> None:
        """Add a client that wants nothing yet."""
        client = Client(delta=delta, picky=picky, trusting=trusting)
        self.connections.append(Connection(self._view, client, self._coalescers, self.loop, drain=self.drain))

    def change(self, put: Iterable[Thing], drop: Iterable[tuple[str, str]] = ()) -> None:
        """Change the view at once in several places."""
        put, drop = list(put), list(drop)
        touched: dict[str, set[str]] = {}
        before = {type_url: dict(things) for type_url, things in self.truth.items()}
        for type_url, name in drop:
            self.truth[type_url].pop(name, None)
        for thing in put:
            self.truth[thing.type_url][thing.name] = thing
        for type_url, things in self.truth.items():
            was = before[type_url]
            touched[type_url] = {name for name in {*was, *things} if was.get(name) != things.get(name)}
        for name in touched[CLUSTER]:
            if name in self.truth[CLUSTER]:
                self._gone_since.pop(name, None)
            else:
                self._gone_since[name] = self.now
        for connection in self.connections:
            for type_url, names in touched.items():
                connection.ledger.changed(type_url, names)
        self._view.apply(map(_resource, put), [Ref(*each) for each in drop])

    def emit(self, connection: Connection) -> bool:
        """Let a server send one response, if it has one and there is room on the wire."""
        if len(connection.wire) >= WIRE or not connection.coalesced.ready():
            return False
        connection.ledger.polled(self.truth)
        data = connection.stream.poll(self.now)
        if data is None:
            return False
        response = _read_delta(data) if connection.client.delta else _read_sotw(data)
        response = replace(response, whole=response.things == self.truth[response.type_url])
        connection.ledger.emitted(response, self.truth, self._gone_since, self.now)
        connection.wire.append(response)
        return True

    def read(self, connection: Connection) -> bool:
        """Let a client read one response."""
        if not connection.wire:
            return False
        connection.client.receive(connection.wire.popleft())
        return True

    def deliver(self, connection: Connection) -> bool:
        """Let a server read one request."""
        if not connection.client.sending:
            return False
        request = connection.client.sending.popleft()
        connection.ledger.heard(request, self.truth)
        received = _delta(request) if connection.client.delta else _sotw(request)
        connection.coalesced.handle_ack(received)
        for _ in connection.coalesced.read(received):
            pass
        return True

    def answer(self, connection: Connection) -> bool:
        """Let a client read one response, and its server all that the client says."""
        moved = self.read(connection)
        while self.deliver(connection):
            moved = True
        return moved

    def settle(self) -> None:
        """Let everything arrive and all time pass."""
        steps = 0
        for _ in range(2 * self.drain + 2):
            moving = True
            while moving:
                moving = self.loop.fire()
                for each in self.connections:
                    for step in (self.deliver, self.emit, self.read):
                        moving |= step(each)
                        steps += 1
                assert steps < ENOUGH, "they never come to rest"
            self.now += 1

    def mend(self) -> None:
        """Replace what clients reject."""
        bad = [thing for things in self.truth.values() for thing in things.values() if thing.bad]
        self.change(
            Thing(each.type_url, each.name, "mended", each.requires, each.aliases, each.on_demand)
            for each in bad
        )

    def check(self) -> None:
        """Assert that every client that rejects nothing has what it is to have, now that all is quiet."""
        bad = any(thing.bad for things in self.truth.values() for thing in things.values())
        for connection in self.connections:
            if connection.client.trusting or not bad:
                self._check_client(connection.client)

    def _check_client(self, client: Client) -> None:
        required = {
            name for things in self.truth.values() for each in things.values() for name in each.requires
        }
        for type_url, subscribed in client.subscribed.items():
            expected = subscribed.wanted(self.truth[type_url].values())
            held = dict(client.held[type_url])
            for name in held.keys() - expected.keys():
                dangling = type_url == CLUSTER and name in required
                dangling |= (
                    type_url == ENDPOINT and name in client.held[CLUSTER] and name not in self.truth[CLUSTER]
                )
                silently_removed = not client.delta and type_url not in COMPLETE
                assert dangling or silently_removed, f"the client keeps {name}"
                del held[name]
            assert held == expected, f"the client has not what there is of {type_url}"
            if client.delta:
                # What is needed still, though it is gone, is not removed; it is no answer either.
                needed = required if type_url == CLUSTER else set()
                assert not client.awaited[type_url] - needed, "the client awaits an answer"
        answerable = client.warming & self.truth[ENDPOINT].keys()
        assert not answerable, f"clusters wait for their endpoints: {answerable}"


def _resource(thing: Thing) -> Resource:
    return Resource.of(
        thing.type_url,
        thing.name,
        thing.body,
        requires=frozenset(Ref(CLUSTER, name) for name in thing.requires),
        warms=Ref(ENDPOINT, thing.name) if thing.type_url == CLUSTER else None,
        aliases=thing.aliases,
        on_demand=thing.on_demand,
    )


def _delta(request: Request) -> DeltaRequest:
    error = Status(13, "bad") if request.error else None
    return DeltaRequest(
        None,
        request.type_url,
        request.subscribe,
        request.unsubscribe,
        request.versions,
        request.nonce,
        error,
    )


def _sotw(request: Request) -> SotwRequest:
    error = Status(13, "bad") if request.error else None
    return SotwRequest(request.version, None, request.names, request.type_url, request.nonce, error)


def _read_delta(data: bytes) -> Response:
    message = DeltaDiscoveryResponse.parse(data)
    names = [*(each.name for each in message.resources), *message.removed_resources]
    assert len(names) == len(set(names)), "a name twice in one response"
    full = {each.name: Thing.read(each.resource.value) for each in message.resources if each.resource}
    assert all(thing.name == name for name, thing in full.items())
    return Response(
        message.type_url,
        message.nonce,
        full,
        tuple(message.removed_resources),
        tuple(each.name for each in message.resources if not each.resource),
        versions={each.name: each.version for each in message.resources},
    )


def _read_sotw(data: bytes) -> Response:
    message = DiscoveryResponse.parse(data)
    things = [Thing.read(each.value) for each in message.resources]
    full = {thing.name: thing for thing in things}
    assert len(full) == len(things), "a name twice in one response"
    return Response(message.type_url, message.nonce, full, version=message.version_info)
