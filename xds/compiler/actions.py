"""Actions as Envoy has them: the part of a route that says what happens to a request."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    RuntimeFractionalPercent,
)
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    RedirectAction,
    RedirectActionRedirectResponseCode,
    RetryPolicy,
    RetryPolicyRetryHostPredicate,
    RetryPolicyRetryPriority,
    Route,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyConnectionProperties,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyHeader,
    RouteActionHashPolicyQueryParameter,
    RouteActionRequestMirrorPolicy,
    RouteMatch,
    WeightedCluster,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities.v3 import (
    PreviousPrioritiesConfig,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatchAndSubstitute, RegexMatcher

from xds.compiler.faults import FAULT_FILTER, http_fault, millionths
from xds.compiler.matcher_predicates import REQUEST_ID
from xds.compiler.names import target_cluster
from xds.routing.model import (
    Action,
    Decision,
    DirectResponse,
    Forward,
    HeaderChanges,
    Redirect,
    Retries,
    Routing,
    Split,
)
from xds.routing.predicates import (
    NEVER,
    Cookie,
    Header,
    Identity,
    Not,
    Predicate,
    Present,
    Query,
    Test,
    also,
    assuming_absent,
    simplified,
)
from xds.wire import any_of, build

# Envoy's own default of 15 s would cut off what worked without a proxy: event streams, long polls,
# downloads. What bounds a silent request is the stream idle timeout of the listener.
_NO_TIMEOUT = timedelta(0)

_REDIRECTS = {
    301: RedirectActionRedirectResponseCode.MOVED_PERMANENTLY,
    302: RedirectActionRedirectResponseCode.FOUND,
    303: RedirectActionRedirectResponseCode.SEE_OTHER,
    307: RedirectActionRedirectResponseCode.TEMPORARY_REDIRECT,
    308: RedirectActionRedirectResponseCode.PERMANENT_REDIRECT,
}


@dataclass(frozen=True, slots=True)
class RouteVariant:
    """A decision, or a part of one, in a form that one route can have. ``when`` is ``simplified``."""

    name: str
    when: Predicate
    action: Action
    baseline: str | None

    def route(self, match: RouteMatch) -> Route:
        """Build a route for a match that says ``when``, or a part of it."""
        return build(Route, name=self.name, match=match, **_fields(self.action, self.baseline))


def variants(routing: Routing) -> Iterator[RouteVariant]:
    """Yield what becomes routes, in order; the last holds for all requests."""
    for decision in routing.decisions:
        when = simplified(decision.when)
        for name, holds, action in _with_newcomers(replace(decision, when=when)):
            if holds != NEVER:
                yield RouteVariant(name, holds, action, routing.baseline)


def _with_newcomers(decision: Decision) -> Iterator[tuple[str, Predicate, Action]]:
    """Put before a decision the one for users who lack the cookie that it splits by, and give them one.

    Envoy generates a cookie only for load balancers that hash, not for splits. The request's id, which
    Envoy makes for every request, has the same hash as a header now and as the cookie's value later.
    """
    action = decision.action
    split = action.split if isinstance(action, Forward) else None
    if isinstance(action, Forward) and split and split.cookie_ttl and isinstance(split.identity, Cookie):
        cookie, changes = split.identity, action.response_headers
        without = Not(Test(cookie, Present()))
        given = (*changes.add, ("set-cookie", _set_cookie(cookie.name, split.cookie_ttl)))
        newcomers = replace(
            action,
            split=replace(split, identity=Header(REQUEST_ID)),
            response_headers=replace(changes, add=given),
        )
        yield decision.name, also(assuming_absent(decision.when, cookie), without), newcomers
    yield decision.name, decision.when, action


class _Formatted(str):
    """The value of a header with Envoy's command operators in it; of another text, ``%`` is only ``%``."""

    __slots__ = ()


def _set_cookie(name: str, ttl: timedelta) -> _Formatted:
    seconds = int(ttl.total_seconds())
    return _Formatted(f"{_literal(name)}=%REQ({REQUEST_ID})%; Max-Age={seconds}; Path=/; HttpOnly")


def _literal(text: str) -> str:
    return text.replace("%", "%%")  # a percent sign begins a command operator


def _fields(action: Action, baseline: str | None) -> dict[str, Any]:
    """Return the fields of a Route that come from an action."""
    response = _options(action.response_headers)
    fields: dict[str, Any] = {"response_headers_to_add": response}
    if action.response_headers.remove:
        fields["response_headers_to_remove"] = list(action.response_headers.remove)
    match action:
        case Redirect():
            return fields | {"redirect": _redirect(action)}
        case DirectResponse():
            body = build(DataSource, inline_string=action.body) if action.body else None
            return fields | {"direct_response": build(DirectResponseAction, status=action.status, body=body)}
        case Forward():
            if options := _options(action.request_headers):
                fields["request_headers_to_add"] = options
            if action.request_headers.remove:
                fields["request_headers_to_remove"] = list(action.request_headers.remove)
            if action.delay or action.abort:
                fields["typed_per_filter_config"] = {
                    FAULT_FILTER: any_of(http_fault(action.delay, action.abort))
                }
            return fields | {"route": _route_action(action, baseline)}


def _route_action(action: Forward, baseline: str | None) -> RouteAction:
    timeout = _NO_TIMEOUT if action.timeout is None else action.timeout
    fields: dict[str, Any] = {"timeout": timeout}
    shares = action.split.shares
    if len(shares) == 1:
        fields["cluster"] = target_cluster(shares[0].target, baseline)
    else:
        identity = action.split.identity
        fields["weighted_clusters"] = _weighted(action.split, baseline)
        fields["hash_policy"] = [_hash_policy(identity)] if identity else []
    if action.retries is not None:
        fields["retry_policy"] = _retry_policy(action.retries)
    if action.mirror is not None:
        mirror = build(
            RouteActionRequestMirrorPolicy,
            cluster=target_cluster(action.mirror.target, baseline),
            runtime_fraction=build(RuntimeFractionalPercent, default_value=millionths(action.mirror.share)),
        )
        fields["request_mirror_policies"] = [mirror]
    rewrite = action.rewrite
    if rewrite.path is not None and rewrite.prefix is not None:
        fields["prefix_rewrite"] = rewrite.path
    elif rewrite.path is not None:
        fields["regex_rewrite"] = _substitution("^/.*", rewrite.path.replace("\\", r"\\"))
    elif rewrite.path_regex is not None:
        fields["regex_rewrite"] = _substitution(*rewrite.path_regex)
    if rewrite.authority is not None:
        fields["host_rewrite_literal"] = rewrite.authority
    return build(RouteAction, **fields)


def _weighted(split: Split, baseline: str | None) -> WeightedCluster:
    return build(
        WeightedCluster,
        clusters=[
            build(WeightedClusterClusterWeight, name=target_cluster(target, baseline), weight=share)
            for target, share in split.shares
        ],
        use_hash_policy=True if split.identity else None,
    )


def _hash_policy(identity: Identity) -> RouteActionHashPolicy:
    """Identify a user; requests without the identity are split by chance."""
    match identity:
        case Header(name):
            return build(RouteActionHashPolicy, header=build(RouteActionHashPolicyHeader, header_name=name))
        case Cookie(name):
            return build(RouteActionHashPolicy, cookie=build(RouteActionHashPolicyCookie, name=name))
        case Query(name):
            parameter = build(RouteActionHashPolicyQueryParameter, name=name)
            return build(RouteActionHashPolicy, query_parameter=parameter)
        case _:
            source = build(RouteActionHashPolicyConnectionProperties, source_ip=True)
            return build(RouteActionHashPolicy, connection_properties=source)


def _retry_policy(retries: Retries) -> RetryPolicy:
    statuses = [int(condition) for condition in retries.conditions if condition.isdigit()]
    words = [condition for condition in retries.conditions if not condition.isdigit()]
    if statuses:
        words.append("retriable-status-codes")
    return build(
        RetryPolicy,
        retry_on=",".join(words),
        num_retries=retries.attempts,
        per_try_timeout=retries.per_try_timeout,
        retriable_status_codes=statuses,
        retry_host_predicate=[_previous_hosts()],
        retry_priority=_previous_priorities(min(2, max(1, retries.attempts))),
        host_selection_retry_max_attempts=3,
    )


@cache
def safe_retries() -> RetryPolicy:
    """Try elsewhere when a request cannot have been seen by the application.

    So an instance that goes away costs nobody a request, and nothing is ever done twice: all three
    conditions hold only before the application has got any of the request. The first retry tries another
    instance of the subset, the second one of its fallback if it has one (``xds.compiler.upstreams``).
    """
    return RetryPolicy(
        retry_on="connect-failure,refused-stream,reset-before-request",
        num_retries=2,
        retry_host_predicate=[_previous_hosts()],
        retry_priority=_previous_priorities(2),
        host_selection_retry_max_attempts=3,
    )


@cache
def _previous_priorities(update_frequency: int) -> RetryPolicyRetryPriority:
    return RetryPolicyRetryPriority(
        name="envoy.retry_priorities.previous_priorities",
        typed_config=any_of(PreviousPrioritiesConfig(update_frequency=update_frequency)),
    )


@cache
def _previous_hosts() -> RetryPolicyRetryHostPredicate:
    return RetryPolicyRetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts", typed_config=any_of(PreviousHostsPredicate())
    )


def _redirect(redirect: Redirect) -> RedirectAction:
    host, port = _host_and_port(redirect.authority) if redirect.authority else (None, None)
    return build(
        RedirectAction,
        host_redirect=host or "",
        port_redirect=port or 0,
        path_redirect=redirect.path,
        scheme_redirect=redirect.scheme,
        response_code=_REDIRECTS[redirect.status],
    )


def _host_and_port(authority: str) -> tuple[str, int | None]:
    host, colon, port = authority.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() else (authority, None)


def _substitution(pattern: str, substitution: str) -> RegexMatchAndSubstitute:
    return build(
        RegexMatchAndSubstitute, pattern=build(RegexMatcher, regex=pattern), substitution=substitution
    )


def _options(changes: HeaderChanges) -> list[HeaderValueOption]:
    overwrite = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    return [
        *(_option(name, value, append_action=overwrite) for name, value in changes.set),
        *(_option(name, value) for name, value in changes.add),
    ]


def _option(name: str, value: str, **fields: Any) -> HeaderValueOption:
    text = value if isinstance(value, _Formatted) else _literal(value)
    return build(HeaderValueOption, header=build(HeaderValue, key=name, value=str(text)), **fields)
