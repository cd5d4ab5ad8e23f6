"""Whether one test takes everything that another takes. Cautious: it says so only where it is certain."""

import ipaddress

from xds.rules.model import Match, Percentage, StringMatcher, UriMatcher


def covers(wide: Match, narrow: Match) -> bool:
    """Whether every request that ``narrow`` takes, ``wide`` takes too."""
    return (
        _covers_path(wide.uri, narrow.uri)
        and (wide.method is None or (narrow.method is not None and _covers(wide.method, narrow.method)))
        and _cover(wide.headers, narrow.headers)
        and _cover(wide.cookies, narrow.cookies)
        and _cover(wide.query, narrow.query)
        and (wide.source_ip is None or _within(narrow.source_ip, wide.source_ip))
        and (wide.device is None or (narrow.device is not None and set(narrow.device) <= set(wide.device)))
        and (wide.region is None or (narrow.region is not None and _regions(narrow.region, wide.region)))
        and (wide.percentage is None or _covers_share(wide.percentage, narrow.percentage))
        and wide.lane in {None, narrow.lane}
        and (wide.schedule is None or wide.schedule == narrow.schedule)
    )


def _cover(wide: dict[str, StringMatcher], narrow: dict[str, StringMatcher]) -> bool:
    return all(name in narrow and _covers(test, narrow[name]) for name, test in wide.items())


def _covers(wide: StringMatcher, narrow: StringMatcher) -> bool:
    if wide == narrow:
        return True
    if wide.not_ or narrow.not_ or narrow.present is False:
        return False
    if wide.present is not None:
        return wide.present
    if values := _values(narrow):
        return all(_takes(wide, value, any_case=narrow.ignore_case) for value in values)
    if wide.range and narrow.range:
        return wide.range.start <= narrow.range.start and narrow.range.end <= wide.range.end
    return _covers_part(wide, narrow)


def _values(test: StringMatcher) -> tuple[str, ...]:
    """Return all values that a test takes, if they are listed in it."""
    return (test.exact,) if test.exact is not None else test.values


def _takes(test: StringMatcher, value: str, *, any_case: bool) -> bool:
    """Whether a test takes a value, in ``any_case`` of its letters."""
    if any_case and not test.ignore_case and value.lower() != value.upper():
        return False
    folded = value.lower() if test.ignore_case else value

    def fold(text: str) -> str:
        return text.lower() if test.ignore_case else text

    return (
        (test.exact is not None and fold(test.exact) == folded)
        or (test.prefix is not None and folded.startswith(fold(test.prefix)))
        or (test.suffix is not None and folded.endswith(fold(test.suffix)))
        or (test.contains is not None and fold(test.contains) in folded)
        or folded in {fold(one) for one in test.values}
    )


def _covers_part(wide: StringMatcher, narrow: StringMatcher) -> bool:
    """Whether what ``narrow`` says of a part of the value is enough for ``wide``."""
    if narrow.ignore_case and not wide.ignore_case:
        return False
    part = narrow.prefix or narrow.suffix or narrow.contains
    if part is None:
        return False
    as_prefix = wide.prefix is not None and narrow.prefix is not None
    as_suffix = wide.suffix is not None and narrow.suffix is not None
    return (as_prefix or as_suffix or wide.contains is not None) and _takes(wide, part, any_case=False)


def _covers_path(wide: UriMatcher | None, narrow: UriMatcher | None) -> bool:
    if wide is None or wide == narrow:
        return True
    if narrow is None or wide.not_ or narrow.not_ or (narrow.ignore_case and not wide.ignore_case):
        return False
    path = narrow.exact or narrow.prefix
    if path is None or wide.prefix is None:
        return False
    if wide.ignore_case:
        return path.lower().startswith(wide.prefix.lower())
    return path.startswith(wide.prefix)


def _within(narrow: tuple[str, ...] | None, wide: tuple[str, ...]) -> bool:
    networks = [ipaddress.ip_network(one) for one in wide]
    return narrow is not None and all(
        any(_is_subnet(ipaddress.ip_network(one), network) for network in networks) for one in narrow
    )


def _is_subnet(
    narrow: ipaddress.IPv4Network | ipaddress.IPv6Network, wide: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    if isinstance(narrow, ipaddress.IPv4Network):
        return isinstance(wide, ipaddress.IPv4Network) and narrow.subnet_of(wide)
    return isinstance(wide, ipaddress.IPv6Network) and narrow.subnet_of(wide)


def _regions(narrow: tuple[str, ...], wide: tuple[str, ...]) -> bool:
    return all(
        any(one == other or (other.endswith("*") and one.startswith(other[:-1])) for other in wide)
        for one in narrow
    )


def same_users(one: Percentage, other: Percentage) -> bool:
    """Whether two percentages count from the same users, so that the greater holds all of the smaller."""
    by_identity = bool(one.identities())
    identity = ("header", "cookie", "query", "source_ip", "salt")
    return by_identity and all(getattr(one, name) == getattr(other, name) for name in identity)


def _covers_share(wide: Percentage, narrow: Percentage | None) -> bool:
    if wide.value == 100:
        return not wide.identities() or (narrow is not None and same_users(wide, narrow))
    return narrow is not None and same_users(wide, narrow) and narrow.value <= wide.value
