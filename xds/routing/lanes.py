"""Lanes as the edge sees them: who is taken into which lane, and what marks its requests from then on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from xds.routing.from_matches import any_match, mark_of, next_change
from xds.routing.predicates import Baggage, Header, Predicate
from xds.routing.surroundings import Reading, Surroundings
from xds.rules.model import Lane, ListReference, Match, StringMatcher


@dataclass(frozen=True, slots=True)
class Entrance:
    """A lane: requests for which ``when`` holds get the mark, whose value is the lane's name."""

    lane: str
    mark: Header | Baggage
    when: Predicate | None


@dataclass(frozen=True, slots=True)
class Entrances:
    """The lanes of an environment; the first whose ``when`` holds takes a request.

    Marks that come from outside count for nothing. ``changes_at`` is when this is another by itself.
    """

    lanes: tuple[Entrance, ...] = ()
    changes_at: datetime | None = None


def entrances_of(surroundings: Surroundings, now: datetime) -> Entrances:
    """Say who is taken into which lane at a time."""
    reading = Reading("", surroundings, now)
    matches = (match for lane in surroundings.lanes for match in lane.enter)
    return Entrances(
        tuple(_entrance(reading, lane) for lane in surroundings.lanes),
        next_change(matches, now),
    )


def lists_named(lane: Lane) -> Iterator[str]:
    """Yield the names of the lists that the entrance of a lane needs."""
    for match in lane.enter:
        for test in _tests(match):
            if isinstance(test.in_, ListReference):
                yield test.in_.list


def _tests(match: Match) -> Iterator[StringMatcher]:
    yield from match.headers.values()
    yield from match.cookies.values()
    yield from match.query.values()


def _entrance(reading: Reading, lane: Lane) -> Entrance:
    when = any_match(reading, f"lane/{lane.name}", lane.enter) if lane.enter else None
    return Entrance(lane.name, mark_of(lane), when)
