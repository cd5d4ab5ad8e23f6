"""Many sidecars on several replicas behind TCP balancers: an edit, a replica that dies, one that is new."""

import time as clock
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil

from bench import golang, workload
from bench.processes import Answer, Balancer, Load, Server, addresses, balancer, load_of, running, whole
from bench.scale import Scale
from bench.table import Spread, Table, number, size, time
from xds.compiler.route_sources import RouteMode, routes_name
from xds.type_urls import ROUTE

_REPLICAS = 4
_SERVICES = 100
_EDITS = 10
_AT_A_BALANCER = 8_000
"""Connections of one balancer: each takes two of the files that a process may have open, 20,000 or more."""
_IN_PARALLEL = 64
"""Sidecars that connect at a time, at first."""
_SPREADING = 5
"""The share of the sidecars, as a divisor, that spread by age: what is measured are shares, not times."""

_OUTBOUND = f"{routes_name(RouteMode.SCOPED, 'outbound')}/{workload.service(workload.EDITED)}"
"""The RouteConfiguration of the edited service, as a sidecar with scoped routes calls it."""


@dataclass(slots=True)
class _Site:
    """Replicas, the balancers before them, and the clients."""

    replicas: list[Server]
    balancers: list[Balancer]
    load: Load

    def use(self, replicas: list[Server]) -> None:
        """Have edits and new connections go to these replicas."""
        self.load.ask("control", control=addresses(each.control for each in replicas))
        for each in self.balancers:
            each.use([replica.xds for replica in replicas])

    def shares(self, replicas: Sequence[Server]) -> str:
        """Say how many connections each replica has."""
        counts = [each.counts() for each in self.balancers]
        return " · ".join(number(sum(count.get(each.xds, 0) for count in counts)) for each in replicas)

    def connect(self, sidecars: int) -> Answer:
        """Open the streams of so many sidecars, one group for each service."""
        what = {"delta": True, "type": ROUTE, "names": [_OUTBOUND], "groups": _SERVICES, "persist": True}
        many = {"streams": sidecars, "connections": sidecars, "parallel": _IN_PARALLEL, "resources": 1}
        return self.load.ask("connect", **what, **many)

    @property
    def cpu(self) -> float:
        """Seconds of CPU that all replicas have used."""
        return sum(replica.cpu for replica in self.replicas)


def measure(scale: Scale) -> list[Table]:
    """Measure edits and the loss of a replica with all sidecars, and how a part of them spreads again."""
    sidecars = scale.sidecars
    title = f"{number(sidecars)} sidecars on {_REPLICAS} replicas behind a TCP balancer"
    pushes = Table(
        title,
        "every sidecar ends right; the loss of a replica is over in seconds",
        ("", "half of the sidecars", "99 %", "the last one"),
    )
    costs = Table("What a replica needs for that", "to size by", ("", "of each replica"))
    spread = Table(
        f"{number(sidecars // _SPREADING)} sidecars spread over replicas by connection_age"
        f" ({scale.connection_age:g} s)",
        "equal shares again, without an operator",
        ("", *(f"streams of replicas 1 to {_REPLICAS}",)),
    )
    if golang.binary() is None:
        pushes.notes.append(golang.ABSENT)
        return [pushes]
    _loss(sidecars, pushes, costs)
    _spread(sidecars // _SPREADING, scale.connection_age, spread)
    return [pushes, costs, spread]


def _loss(sidecars: int, pushes: Table, costs: Table) -> None:
    with _site(sidecars) as site:
        empty = [replica.memory for replica in site.replicas]
        pushes.rows.append(_row("all connect, first response", [site.connect(sidecars)]))
        streams = sidecars / _REPLICAS
        clock.sleep(1)  # the acknowledgements
        full = [replica.memory for replica in site.replicas]
        held = sum(full) - sum(empty)
        began = site.cpu
        site.load.ask("edits", count=1)  # the first edit is measured by none
        edits = site.load.ask("edits", count=_EDITS).rounds
        used = (site.cpu - began) / (_EDITS + 1) / _REPLICAS
        pushes.rows.append(_row("an edit → received", edits))
        killed, *left = site.replicas
        with ExitStack() as stack:
            peaks = [stack.enter_context(each.peak()) for each in left]
            killed.kill()
            site.use(left)
            [lost] = site.load.ask("edits", count=1).rounds
        pushes.rows.append(_row("a replica is killed, then an edit → received", [lost]))
        costs.rows += [
            ["memory without streams", size(sum(empty) / _REPLICAS)],
            [f"memory for each of {number(int(streams))} streams", size(held / sidecars)],
            ["CPU of an edit to them", f"{used * 1e3:.0f} ms"],
            ["memory at most, when the others took the streams of the one killed", size(_most(peaks))],
        ]
        pushes.notes += _notes(lost.reopened, len(left))


def _notes(reopened: int, left: int) -> Iterator[str]:
    yield (
        f"{_SERVICES} services, a group of sidecars for each, scoped routes: each replica compiles the edit"
        f" and puts it into {_SERVICES} views. A sidecar has a connection of its own and asks for the edited"
        " service's routes."
    )
    yield (
        f"A sidecar comes back after a pause of up to half a second, as Envoy does. To get to the {left}"
        f" replicas left took {number(reopened)} attempts in all."
    )
    yield (
        f"Edits are made at all replicas at once; medians of {_EDITS}. Replicas, balancers and sidecars share"
        " the cores: with more of them it is faster."
    )


def _spread(sidecars: int, age: float, table: Table) -> None:
    with _site(sidecars, "--connection-age", age) as site, ExitStack() as stack:
        site.connect(sidecars)
        all_of_them = list(site.replicas)
        table.rows.append(["connected", site.shares(all_of_them)])
        killed, *left = site.replicas
        killed.kill()
        site.use(left)
        site.load.ask("edits", count=1)
        table.rows.append(["the first one was killed", site.shares(all_of_them)])
        back = stack.enter_context(running(_replica("--connection-age", age)))
        now = [back, *left]
        site.use(now)
        began = clock.monotonic()
        table.rows.append(["another one is in its place", site.shares(now)])
        for ages in (1.0, 1.5, 2.0):
            clock.sleep(max(0.0, began + ages * age - clock.monotonic()))
            table.rows.append([f"{ages:g} times that age later", site.shares(now)])
        site.load.ask("edits", count=1)  # whoever is where, all have the last edit


def _row(what: str, answers: Sequence[Answer]) -> list[str]:
    """Summarise delays, which are in order of size."""

    def at(share: float) -> str:
        spread = Spread.of(each.delays[ceil(share * len(each.delays)) - 1] for each in answers)
        return time(spread) if len(answers) > 1 else time(spread).splitlines()[0]

    return [what, at(0.5), at(0.99), at(1.0)]


def _most(peaks: Sequence[list[int]]) -> int:
    return max(peak[0] for peak in peaks)


def _replica(*options: object) -> list[str]:
    return whole("--services", _SERVICES, "--routes", RouteMode.SCOPED, *options)


@contextmanager
def _site(sidecars: int, *options: object) -> Iterator[_Site]:
    with ExitStack() as stack:
        replicas = [stack.enter_context(running(_replica(*options))) for _ in range(_REPLICAS)]
        ports = [replica.xds for replica in replicas]
        balancers = [stack.enter_context(balancer(ports)) for _ in range(ceil(sidecars / _AT_A_BALANCER))]
        through = [each.port for each in balancers]
        load = stack.enter_context(load_of(*replicas, through=through))
        yield _Site(replicas, balancers, load)
