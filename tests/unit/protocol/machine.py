"""Random clients against random changes, for hypothesis to play."""

from itertools import chain

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

contents = st.sampled_from(("1", "2", "3 bad"))
users = st.frozensets(st.sampled_from(CLUSTERS), max_size=2)


@st.composite
def things(draw: st.DrawFn) -> list[Thing]:
    """Things that come about together: a cluster comes with its endpoints, as a rule."""
    type_url = draw(st.sampled_from((CLUSTER, CLUSTER, ENDPOINT, LISTENER, ROUTE, ROUTE, VIRTUAL_HOST)))
    content = draw(contents)
    match type_url:
        case _ if type_url == CLUSTER:
            name = draw(st.sampled_from(CLUSTERS))
            alone = draw(st.integers(0, 3)) == 0
            return [Thing(CLUSTER, name, content), *([] if alone else [Thing(ENDPOINT, name, "1")])]
        case _ if type_url == ENDPOINT:
            return [Thing(ENDPOINT, draw(st.sampled_from(CLUSTERS)), content)]
        case _ if type_url == VIRTUAL_HOST:
            name = draw(st.sampled_from(NAMES[VIRTUAL_HOST]))
            aliases = tuple(draw(st.lists(st.sampled_from(ALIASES), max_size=2, unique=True)))
            return [Thing(VIRTUAL_HOST, name, content, draw(users), aliases, draw(st.booleans()))]
        case _:
            return [Thing(type_url, draw(st.sampled_from(NAMES[type_url])), content, draw(users))]


gone = st.one_of(
    st.builds(lambda name: [(CLUSTER, name), (ENDPOINT, name)], st.sampled_from(CLUSTERS)),
    st.sampled_from([[(type_url, name)] for type_url, names in NAMES.items() for name in names]),
    st.builds(lambda name: [(ENDPOINT, name)], st.sampled_from(CLUSTERS)),
)


class Machine(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation()

    def pick(self, number: int) -> Connection:
        connections = self.simulation.connections
        return connections[number % len(connections)]

    @initialize(put=st.lists(things(), max_size=6))
    def begin(self, put: list[list[Thing]]) -> None:
        self.simulation.change(chain(*put))

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

    @rule(put=st.lists(things(), max_size=3), drop=st.lists(gone, max_size=1))
    def change(self, put: list[list[Thing]], drop: list[list[tuple[str, str]]]) -> None:
        self.simulation.change(chain(*put), chain(*drop))

    @precondition(lambda self: self.simulation.connections)
    @rule(number=st.integers(0, MOST - 1), times=st.integers(1, 4))
    def emit(self, number: int, times: int) -> None:
        for _ in range(times):
            self.simulation.emit(self.pick(number))

    @precondition(lambda self: self.simulation.connections)
    @rule(number=st.integers(0, MOST - 1), times=st.integers(1, 4))
    def read(self, number: int, times: int) -> None:
        for _ in range(times):
            self.simulation.read(self.pick(number))

    @precondition(lambda self: self.simulation.connections)
    @rule(number=st.integers(0, MOST - 1), times=st.integers(1, 4))
    def deliver(self, number: int, times: int) -> None:
        for _ in range(times):
            self.simulation.deliver(self.pick(number))

    @rule()
    def tick(self) -> None:
        self.simulation.now += 1

    @rule()
    def settle(self) -> None:
        self.simulation.settle()

    @precondition(lambda self: self.simulation.connections)
    @rule(number=st.integers(0, MOST - 1), restarted=st.booleans())
    def reconnect(self, number: int, *, restarted: bool) -> None:
        self.pick(number).reconnect(restarted=restarted)

    def teardown(self) -> None:
        self.simulation.mend()
        self.simulation.settle()
        self.simulation.check()
