"""What a rule document decides: which requests take which route, whatever form the routes get."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption
from envoy_data_plane.envoy.config.route.v3 import Route, RouteAction, RouteMatch

from xds.compiler.actions import baseline_action, by_cookie, by_header, clusters_of, rule_action
from xds.rules.model import HttpRule, Match, RuleDocument, StringMatcher
from xds.wire import build

_REQUEST_ID = "x-request-id"


@dataclass(frozen=True, slots=True)
class Decision:
    """The route that requests take if one of ``matches`` holds, all requests if there are none."""

    name: str
    matches: tuple[Match, ...]
    action: RouteAction
    response_headers: tuple[HeaderValueOption, ...] = ()

    def route(self, match: RouteMatch) -> Route:
        """Build a route for a match that says ``matches``, or a part of them."""
        return build(
            Route,
            name=self.name,
            match=match,
            route=self.action,
            response_headers_to_add=list(self.response_headers),
        )

    def clusters(self) -> frozenset[str]:
        """Return the names of the clusters that the requests may go to."""
        return clusters_of(self.action)


def decisions(service: str, document: RuleDocument | None) -> list[Decision]:
    """List what is decided for a service, in order; the last decision is for all requests.

    The name of a rule is the name of its routes; the last route's is ``baseline``, or the service's if it
    has no subsets.
    """
    baseline = document.baseline if document else None
    last = Decision("baseline" if baseline else service, (), baseline_action(service, baseline))
    if document is None or not document.enabled:
        return [last]
    return [decision for rule in document.http for decision in _of_rule(document, rule)] + [last]


def _of_rule(document: RuleDocument, rule: HttpRule) -> Iterator[Decision]:
    if rule.sticky is None:
        yield Decision(rule.name, rule.match, rule_action(document, rule))
    elif rule.sticky.header is not None:
        yield Decision(rule.name, rule.match, rule_action(document, rule, by_header(rule.sticky.header)))
    elif rule.sticky.cookie is not None:
        action = rule_action(document, rule, by_cookie(rule.sticky.cookie))
        if rule.sticky.ttl is not None and action.weighted_clusters is not None:
            yield from _of_newcomers(document, rule, rule.sticky.cookie, rule.sticky.ttl)
        yield Decision(rule.name, rule.match, action)


def _of_newcomers(document: RuleDocument, rule: HttpRule, cookie: str, ttl: timedelta) -> Iterator[Decision]:
    """Decide for users who have no cookie yet, and give them one that decides the same from then on.

    Envoy generates a cookie only for load balancers that hash, not for splits. The request's id, which
    Envoy makes for every request, has the same hash as a header now and as the cookie's value later.
    """
    without = StringMatcher(present=False)
    newcomers = tuple(
        match.model_copy(update={"cookies": match.cookies | {cookie: without}})
        for match in rule.match or (Match(),)
        if cookie not in match.cookies or _passes_when_missing(match.cookies[cookie])
    )
    if newcomers:
        action = rule_action(document, rule, by_header(_REQUEST_ID))
        yield Decision(rule.name, newcomers, action, (_set_cookie(cookie, ttl),))


def _passes_when_missing(test: StringMatcher) -> bool:
    return (test.present is False) != test.not_


def _set_cookie(name: str, ttl: timedelta) -> HeaderValueOption:
    seconds = int(ttl.total_seconds())
    literal = name.replace("%", "%%")  # a percent sign begins a command operator
    value = f"{literal}=%REQ({_REQUEST_ID})%; Max-Age={seconds}; Path=/; HttpOnly"
    return build(HeaderValueOption, header=build(HeaderValue, key="set-cookie", value=value))
