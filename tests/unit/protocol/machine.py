"""Random clients against random changes, for hypothesis to play."""

import sys
from collections.abc import Iterator, Sequence
from itertools import combinations, product

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.unit.protocol.model import COLLECTIONS, STAR, Thing
from tests.unit.protocol.simulation import Connection, Simulation
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST

# So few that what happens happens to the same ones.
CLUSTERS = ("a", "b")
NAMES = {
    CLUSTER: CLUSTERS,
    LISTENER: ("l",),
    ROUTE: ("r", "s"),
    VIRTUAL_HOST: ("r/v", "r/w"),
}
ALIASES = ("r/one", "r/two")
ALSO = {CLUSTER: (STAR,), LISTENER: (STAR,), VIRTUAL_HOST: (*ALIASES, STAR)}
"""What else may be asked for."""
MOST = 3
"""Clients at once."""
EVERYONE = MOST

CONTENTS = ("1", "2", "3 bad")
USERS = [frozenset(names) for size in range(3) for names in combinations(CLUSTERS, size)]

FOCUS = (
    (CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST),
    (CLUSTER, ENDPOINT),
    (CLUSTER, ROUTE),
    (CLUSTER, VIRTUAL_HOST),
    (ROUTE,),
)
"""Types that a play is about: the fewer, the more happens to each."""

Ref = tuple[str, str]


def some_of(names: Sequence[str], most: int) -> Iterator[tuple[str, ...]]:
    for size in range(1, most + 1):
        yield from combinations(names, size)


def kinds(focus: Sequence[str]) -> Iterator[list[list[Thing]]]:
    """What may come about together, kind by kind: a cluster comes with its endpoints, as a rule."""
    clusters = [Thing(CLUSTER, *each) for each in product(CLUSTERS, CONTENTS)]
    if CLUSTER in focus:
        yield [[each] for each in clusters]
    if ENDPOINT in focus:
        yield [[each, Thing(ENDPOINT, each.name, "1")] for each in clusters]
        yield [[Thing(ENDPOINT, *each)] for each in product(CLUSTERS, CONTENTS)]
    for type_url in (LISTENER, ROUTE, ROUTE):
        if type_url in focus:
            yield [[Thing(type_url, *each)] for each in product(NAMES[type_url], CONTENTS, USERS)]
    if VIRTUAL_HOST in focus:
        aliases = [(), ALIASES[:1], ALIASES]
        hosts = product(NAMES[VIRTUAL_HOST], CONTENTS, USERS, aliases, (False, True))
        yield [[Thing(VIRTUAL_HOST, *each)] for each in hosts]


def evenly(lists: Sequence[list[list[Thing]]]) -> list[list[Thing]]:
    """One list in which each of the lists has the same share."""
    most = max(map(len, lists))
    return [each[number % len(each)] for each in lists for number in range(most)]


class World:
    """What there may be in a play that is about some types."""

    def __init__(self, focus: Sequence[str]) -> None:
        self.focus = focus
        self.come = evenly(list(kinds(focus)))
        self.go: list[list[Ref]] = [
            *([(CLUSTER, name), (ENDPOINT, name)] for name in CLUSTERS if CLUSTER in focus),
            *([(ENDPOINT, name)] for name in CLUSTERS if ENDPOINT in focus),
            *([(type_url, name)] for type_url, names in NAMES.items() if type_url in focus for name in names),
        ]
        wanted = [
            (type_url, names)
            for type_url in NAMES
            if type_url in focus
            for names in some_of((*NAMES[type_url], *ALSO.get(type_url, ())), 2)
        ]
        self.wanted = {
            True: wanted,
            False: [each for each in wanted if each[0] != VIRTUAL_HOST] or [(CLUSTER, (STAR,))],
        }
        """By whether it is a delta client: the other variant has no virtual hosts."""


WORLDS = [World(focus) for focus in FOCUS]

# Each is one number, whatever it stands for: examples are quick, and there are many.
clients = st.integers(0, EVERYONE)
few = st.integers(0, 3)
which = st.integers(0, 5039)


class Machine(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation()
        self.world = WORLDS[0]

    def pick(self, number: int) -> list[Connection]:
        connections = self.simulation.connections
        return connections if number == EVERYONE else [connections[number % len(connections)]]

    def come(self, number: int) -> list[Thing]:
        return self.world.come[number % len(self.world.come)]

    def go(self, number: int) -> list[Ref]:
        return self.world.go[number % len(self.world.go)]

    def send(self, most: int) -> None:
        """Tell streams of what changed, and let each server send so many responses at most."""
        if most:
            self.simulation.loop.fire()
        for connection in self.simulation.connections:
            for _ in range(most):
                self.simulation.emit(connection)

    @initialize(
        world=st.sampled_from(range(len(WORLDS))),
        first=which,
        second=which,
        drain=st.sampled_from((0, 2)),
        deltas=st.sampled_from(((False,), (True,), (False, True))),
        trusting=st.booleans(),
        quiet=st.booleans(),
    )
    def begin(
        self,
        world: int,
        first: int,
        second: int,
        drain: int,
        deltas: Sequence[bool],
        *,
        trusting: bool,
        quiet: bool,
    ) -> None:
        self.world = WORLDS[world]
        self.simulation = Simulation(drain=drain)
        self.simulation.change((*self.come(first), *self.come(second)))
        for delta in deltas:
            self.connect(delta=delta, picky=delta, trusting=trusting, everything=True)
        if quiet:
            self.simulation.settle()

    @precondition(lambda self: len(self.simulation.connections) < MOST)
    @rule(delta=st.booleans(), picky=st.booleans(), trusting=st.booleans(), everything=st.booleans())
    def connect(self, *, delta: bool, picky: bool, trusting: bool, everything: bool) -> None:
        self.simulation.connect(delta=delta, picky=picky, trusting=trusting)
        client = self.simulation.connections[-1].client
        for type_url in (CLUSTER, LISTENER, ROUTE):
            if everything and type_url in self.world.focus:
                client.want(type_url, [STAR] if type_url in COLLECTIONS else NAMES[type_url])

    @rule(number=clients, which=which)
    def want(self, number: int, which: int) -> None:
        for connection in self.pick(number):
            choices = self.world.wanted[connection.client.delta]
            connection.client.want(*choices[which % len(choices)])

    @rule(number=clients, which=which, again=st.booleans())
    def unwant(self, number: int, which: int, *, again: bool) -> None:
        """Want something no more, or change one's mind about that at once."""
        for connection in self.pick(number):
            client = connection.client
            choices = [
                (type_url, name)
                for type_url, subscribed in client.subscribed.items()
                if type_url != ENDPOINT
                for name in (*sorted(subscribed.names), *([STAR] if subscribed.everything else []))
                # The state of the world has no word for taking a wildcard back that was never put into words.
                if name != STAR or client.delta or type_url in client.explicit
            ]
            if choices:
                type_url, name = choices[which % len(choices)]
                client.unwant(type_url, [name])
                if again:
                    client.want(type_url, [name])

    @rule(first=which, second=which, more=st.booleans(), sent=few)
    def change(self, first: int, second: int, sent: int, *, more: bool) -> None:
        """Change the view; what servers have to say of that is on its way."""
        self.simulation.change((*self.come(first), *(self.come(second) if more else ())))
        self.send(sent)

    @rule(first=which, second=which, sent=few)
    def replace(self, first: int, second: int, sent: int) -> None:
        """Something comes as something else goes."""
        self.simulation.change(self.come(first), self.go(second))
        self.send(sent)

    @rule(which=which, sent=few, back=st.booleans())
    def remove(self, which: int, sent: int, *, back: bool) -> None:
        """Remove something; it may come back as it was."""
        drop = self.go(which)
        there = [thing for type_url, name in drop if (thing := self.simulation.truth[type_url].get(name))]
        self.simulation.change((), drop)
        self.send(sent)
        if back:
            self.simulation.change(there)
            self.send(sent)

    @rule()
    def tell(self) -> None:
        """Tell streams of what changed."""
        self.simulation.loop.fire()

    @rule(number=clients, times=few)
    def emit(self, number: int, times: int) -> None:
        for connection in self.pick(number):
            for _ in range(times + 1):
                self.simulation.emit(connection)

    @rule(number=clients, times=few)
    def read(self, number: int, times: int) -> None:
        for connection in self.pick(number):
            for _ in range(times + 1):
                self.simulation.read(connection)

    @rule(number=clients, times=few)
    def deliver(self, number: int, times: int) -> None:
        for connection in self.pick(number):
            for _ in range(times + 1):
                self.simulation.deliver(connection)

    @rule(number=clients, times=few)
    def answer(self, number: int, times: int) -> None:
        """Let a client read so many responses, and answer them at once."""
        for connection in self.pick(number):
            for _ in range(times + 1):
                self.simulation.answer(connection)

    @rule(settle=st.booleans())
    def wait(self, *, settle: bool) -> None:
        if settle:
            self.simulation.settle()
            self.simulation.check()
        else:
            self.simulation.now += 1

    @rule(
        number=clients,
        last=few,
        which=which,
        restarted=st.booleans(),
        change=st.sampled_from((None, "come", "go")),
    )
    def reconnect(self, number: int, last: int, which: int, change: str | None, *, restarted: bool) -> None:
        """Lose the stream, after the ``last`` responses that arrived; the view may change meanwhile."""
        for connection in self.pick(number):
            for _ in range(last):
                self.simulation.emit(connection)
                self.simulation.read(connection)
            connection.reconnect(restarted=restarted)
        if change == "come":
            self.simulation.change(self.come(which))
        elif change == "go":
            self.simulation.change((), self.go(which))

    def teardown(self) -> None:
        if sys.exception():
            return  # what failed left things half done
        self.simulation.mend()
        self.simulation.settle()
        self.simulation.check()
