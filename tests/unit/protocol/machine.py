"""Random clients against random changes, for hypothesis to play."""

from collections.abc import Iterator
from itertools import chain, combinations, product

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
MOST = 3
"""Clients at once."""

CONTENTS = ("1", "2", "3 bad")
USERS = [frozenset(names) for size in range(3) for names in combinations(CLUSTERS, size)]


def kinds() -> Iterator[list[list[Thing]]]:
    """What may come about together, kind by kind: a cluster comes with its endpoints, as a rule."""
    clusters = [Thing(CLUSTER, *each) for each in product(CLUSTERS, CONTENTS)]
    yield [[each] for each in clusters]
    yield [[each, Thing(ENDPOINT, each.name, "1")] for each in clusters]
    yield [[Thing(ENDPOINT, *each)] for each in product(CLUSTERS, CONTENTS)]
    for type_url in (LISTENER, ROUTE, ROUTE):
        yield [[Thing(type_url, *each)] for each in product(NAMES[type_url], CONTENTS, USERS)]
    aliases = [(), ALIASES[:1], ALIASES]
    hosts = product(NAMES[VIRTUAL_HOST], CONTENTS, USERS, aliases, (False, True))
    yield [[Thing(VIRTUAL_HOST, *each)] for each in hosts]


KINDS = list(kinds())


def together(kind: int, number: int) -> list[Thing]:
    return KINDS[kind][number % len(KINDS[kind])]


# By number: that is a few draws for each step, and reports that can be read.
things = st.builds(together, st.sampled_from(range(len(KINDS))), st.integers(0, 1 << 16))
gone = st.sampled_from(
    [[(CLUSTER, name), (ENDPOINT, name)] for name in CLUSTERS]
    + [[(type_url, name)] for type_url, names in NAMES.items() for name in names]
    + [[(ENDPOINT, name)] for name in CLUSTERS]
)


class Machine(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation()

    def pick(self, number: int) -> Connection:
        connections = self.simulation.connections
        return connections[number % len(connections)]

    @initialize(
        put=st.lists(things, max_size=6),
        clients=st.lists(st.booleans(), max_size=2),
        quiet=st.booleans(),
    )
    def begin(self, put: list[list[Thing]], clients: list[bool], *, quiet: bool) -> None:
        self.simulation.change(chain(*put))
        for delta in clients:
            self.connect(delta=delta, picky=delta, everything=True)
        if quiet:
            self.simulation.settle()

    @precondition(lambda self: len(self.simulation.connections) < MOST)
    @rule(delta=st.booleans(), picky=st.booleans(), everything=st.booleans())
    def connect(self, *, delta: bool, picky: bool, everything: bool) -> None:
        self.simulation.connect(delta=delta, picky=picky)
        client = self.simulation.connections[-1].client
        if everything:
            client.want(CLUSTER, [STAR])
            client.want(LISTENER, [STAR])
            client.want(ROUTE, NAMES[ROUTE])

    @precondition(lambda self: self.simulation.connections)
    @rule(data=st.data(), number=st.integers(0, MOST - 1))
    def want(self, data: st.DataObject, number: int) -> None:
        client = self.pick(number).client
        types = [CLUSTER, LISTENER, ROUTE] + ([VIRTUAL_HOST] * 2 if client.delta else [])
        type_url = data.draw(st.sampled_from(types))
        names = [*NAMES[type_url], *(ALIASES if type_url == VIRTUAL_HOST else ())]
        stars = [STAR] if type_url in COLLECTIONS else []
        client.want(type_url, data.draw(st.sets(st.sampled_from(names + stars), min_size=1)))

    @precondition(lambda self: self.simulation.connections)
    @rule(data=st.data(), number=st.integers(0, MOST - 1))
    def unwant(self, data: st.DataObject, number: int) -> None:
        """Want something no more, or change one's mind about that at once."""
        client = self.pick(number).client
        choices = [
            (type_url, name)
            for type_url, wish in client.wishes.items()
            if type_url != ENDPOINT
            for name in (*sorted(wish.names), *([STAR] if wish.everything else []))
        ]
        if choices:
            type_url, name = data.draw(st.sampled_from(choices))
            # The state of the world has no word for taking a wildcard back that was never put into words.
            if name != STAR or client.delta or type_url in client.explicit:
                client.unwant(type_url, [name])
                if data.draw(st.booleans()):
                    client.want(type_url, [name])

    @rule(put=st.lists(things, max_size=3), drop=st.lists(gone, max_size=1))
    def change(self, put: list[list[Thing]], drop: list[list[tuple[str, str]]]) -> None:
        self.simulation.change(chain(*put), chain(*drop))

    @precondition(lambda self: self.simulation.connections)
    @rule(
        number=st.integers(0, MOST - 1),
        times=st.integers(1, 4),
        what=st.sampled_from(("emit", "read", "deliver")),
    )
    def move(self, number: int, times: int, what: str) -> None:
        """Let some messages of one client get a step further."""
        for _ in range(times):
            getattr(self.simulation, what)(self.pick(number))

    @rule()
    def tick(self) -> None:
        self.simulation.now += 1

    @rule()
    def settle(self) -> None:
        self.simulation.settle()

    @precondition(lambda self: self.simulation.connections)
    @rule(
        number=st.integers(0, MOST - 1),
        last=st.integers(0, 3),
        restarted=st.sampled_from((False, False, True)),
    )
    def reconnect(self, number: int, last: int, *, restarted: bool) -> None:
        """Lose the stream, after the ``last`` responses that arrived."""
        connection = self.pick(number)
        for _ in range(last):
            self.simulation.emit(connection)
            self.simulation.read(connection)
        connection.reconnect(restarted=restarted)

    def teardown(self) -> None:
        self.simulation.mend()
        self.simulation.settle()
        self.simulation.check()
