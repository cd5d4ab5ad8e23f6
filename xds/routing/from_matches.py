"""From the ``match`` of a rule to a predicate."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from xds.routing.devices import DEVICES
from xds.routing.predicates import (
    ALWAYS,
    Baggage,
    Constant,
    Contains,
    Cookie,
    Described,
    Exact,
    FromNetwork,
    Header,
    Identity,
    InRange,
    Method,
    Not,
    OneOf,
    Operator,
    Path,
    Percentage,
    Predicate,
    Prefix,
    Present,
    Query,
    Regex,
    Source,
    SourceAddress,
    Suffix,
    Test,
    conjunction,
    disjunction,
)
from xds.routing.surroundings import Reading
from xds.rules.model import Identity as IdentityWords
from xds.rules.model import Lane, ListReference, Match, StringMatcher, UriMatcher
from xds.rules.model import Percentage as PercentageWords


def any_match(reading: Reading, rule: str, matches: Iterable[Match]) -> Predicate:
    """Return what holds if one of the alternatives of a rule does; without any, every request matches."""
    alternatives = [conjunction(_conditions(reading, rule, match)) for match in matches]
    return disjunction(alternatives) if alternatives else ALWAYS


def lane_mark(lane: Lane) -> Predicate:
    """Return what holds for requests that carry the mark of a lane."""
    return Test(mark_of(lane), Exact(lane.name))


def next_change(matches: Iterable[Match], now: datetime) -> datetime | None:
    """Return when the schedule of one of the matches next opens or closes; None: never."""
    changes = (match.schedule.next_change(now) for match in matches if match.schedule)
    return min((change for change in changes if change), default=None)


def mark_of(lane: Lane) -> Header | Baggage:
    """Return what carries the mark of a lane."""
    return Header(lane.header) if lane.header is not None else Baggage(lane.baggage or "")


def identity_of(words: IdentityWords) -> Identity | None:
    """Return what identifies a user; None if nothing does."""
    if words.header is not None:
        return Header(words.header)
    if words.cookie is not None:
        return Cookie(words.cookie)
    if words.query is not None:
        return Query(words.query)
    return SourceAddress() if words.source_ip else None


def _conditions(reading: Reading, rule: str, match: Match) -> Iterator[Predicate]:
    surroundings = reading.surroundings
    if match.uri is not None:
        yield _test(reading, Path(), match.uri)
    if match.method is not None:
        yield _test(reading, Method(), match.method)
    yield from (_test(reading, Header(name), test) for name, test in sorted(match.headers.items()))
    yield from (_test(reading, Cookie(name), test) for name, test in sorted(match.cookies.items()))
    yield from (_test(reading, Query(name), test) for name, test in sorted(match.query.items()))
    if match.source_ip is not None:
        yield FromNetwork(match.source_ip)
    if match.device is not None:
        words = f"device is {' or '.join(match.device)}"
        yield Described(words, disjunction(DEVICES[device] for device in match.device))
    if match.region is not None:
        source = Header(surroundings.region_header)
        words = f"region ({source.name}) is {' or '.join(match.region)}"
        yield Described(words, disjunction(_region(source, region) for region in match.region))
    if match.lane is not None:
        lane = next((lane for lane in surroundings.lanes if lane.name == match.lane), None)
        yield Described(f"lane is {match.lane}", lane_mark(lane) if lane else Constant(value=False))
    if match.schedule is not None:
        opens = Constant(match.schedule.holds(reading.now))
        yield Described(f"schedule is open at {reading.now.isoformat(timespec='seconds')}", opens)
    if match.percentage is not None:
        yield _percentage(reading, rule, match.percentage)


def _region(source: Header, region: str) -> Predicate:
    if region.endswith("*"):
        return Test(source, Prefix(region.removesuffix("*"), ignore_case=True))
    return Test(source, Exact(region, ignore_case=True))


def _percentage(reading: Reading, rule: str, words: PercentageWords) -> Predicate:
    identity = identity_of(words)
    share = round(words.value * 10_000)
    if identity is None:
        # Chance must decide anew in every rule, or the second rule of a document would get nobody.
        return Percentage(None, share, f"{reading.service}/{rule}")
    return Percentage(identity, share, words.salt or "")


def _test(reading: Reading, source: Source, matcher: StringMatcher | UriMatcher) -> Predicate:
    absent = isinstance(matcher, StringMatcher) and matcher.present is False
    test = Test(source, _operator(reading, matcher))
    return Not(test) if absent != matcher.not_ else test


def _operator(reading: Reading, matcher: StringMatcher | UriMatcher) -> Operator:
    ignore_case = matcher.ignore_case
    if matcher.exact is not None:
        return Exact(matcher.exact, ignore_case)
    if matcher.prefix is not None:
        return Prefix(matcher.prefix, ignore_case)
    if matcher.regex is not None:
        return Regex(matcher.regex, ignore_case)
    if isinstance(matcher, UriMatcher):
        raise TypeError("a test of the path without an operator")
    if matcher.suffix is not None:
        return Suffix(matcher.suffix, ignore_case)
    if matcher.contains is not None:
        return Contains(matcher.contains, ignore_case)
    if isinstance(matcher.in_, ListReference):
        name = matcher.in_.list
        return OneOf.of(reading.surroundings.lists[name], ignore_case=ignore_case, name=name)
    if matcher.in_ is not None:
        return OneOf.of(matcher.in_, ignore_case=ignore_case)
    if matcher.range is not None:
        return InRange(matcher.range.start, matcher.range.end)
    return Present()
