"""From what a rule does to an action."""

from collections.abc import Mapping, Sequence
from typing import get_args

from xds.routing.from_matches import identity_of
from xds.routing.model import (
    Abort,
    Action,
    Delay,
    DirectResponse,
    Forward,
    HeaderChanges,
    Mirror,
    Redirect,
    Retries,
    Rewrite,
    Share,
    Split,
    Target,
)
from xds.routing.splits import TOTAL, shares
from xds.rules.model import NO_FALLBACK, Destination, HttpRule, RuleDocument
from xds.rules.model import HeaderChanges as ChangesWords
from xds.rules.model import Retries as RetriesWords
from xds.rules.model import Rewrite as RewriteWords
from xds.rules.model import Sticky as StickyWords
from xds.rules.scalars import GrpcStatus

_GRPC_CODES = {name: code for code, name in enumerate(get_args(GrpcStatus), 1)}


def everything_to(service: str, baseline: str | None) -> Forward:
    """Send everything to the baseline, or to all instances of a service without subsets."""
    return Forward(Split((Share(Target(service, baseline), TOTAL),)))


def action_of(
    document: RuleDocument, rule: HttpRule, weights: Mapping[str, int] | None, prefix: str | None
) -> Action:
    """Return what a rule does.

    ``weights`` are in force instead of the rule's; ``prefix`` is how the paths begin that get here, if that
    is known.
    """
    response = _changes(rule.headers.response if rule.headers else None)
    if rule.redirect is not None:
        words = rule.redirect
        return Redirect(words.uri, words.authority, words.scheme, words.redirect_code, response)
    if rule.direct_response is not None:
        return DirectResponse(rule.direct_response.status, rule.direct_response.body or "", response)
    fault = rule.fault
    return Forward(
        _split(document, rule, weights or _weights(rule.route), rule.sticky),
        timeout=rule.timeout,
        retries=_retries(rule.retries) if rule.retries else None,
        mirror=Mirror(target_of(document, rule.mirror.subset, rule.fallback), _share(rule.mirror.percentage))
        if rule.mirror
        else None,
        delay=Delay(fault.delay.fixed_delay, _share(fault.delay.percentage))
        if fault and fault.delay
        else None,
        abort=Abort(
            fault.abort.http_status,
            _GRPC_CODES[fault.abort.grpc_status] if fault.abort.grpc_status else None,
            _share(fault.abort.percentage),
        )
        if fault and fault.abort
        else None,
        request_headers=_changes(rule.headers.request if rule.headers else None),
        response_headers=response,
        rewrite=_rewrite(rule.rewrite, prefix) if rule.rewrite else Rewrite(),
    )


def target_of(document: RuleDocument, subset: str, fallback: str | None = None) -> Target:
    """Return a subset with what serves instead of it: by default the baseline."""
    serves = fallback or document.baseline
    return Target(document.service, subset, None if serves in {NO_FALLBACK, subset} else serves)


def _split(
    document: RuleDocument, rule: HttpRule, weights: Mapping[str, int], sticky: StickyWords | None
) -> Split:
    parts = shares(weights)
    names = sorted(parts, key=lambda subset: (subset == document.baseline, subset))
    split = tuple(Share(target_of(document, name, rule.fallback), parts[name]) for name in names)
    if sticky is None or len(split) == 1:
        return Split(split)
    return Split(split, identity_of(sticky), sticky.ttl)


def _weights(route: Sequence[Destination]) -> dict[str, int]:
    if len(route) == 1:
        return {route[0].subset: 1}
    return {destination.subset: destination.weight or 0 for destination in route}


def _retries(words: RetriesWords) -> Retries:
    return Retries(words.attempts, words.retry_on, words.per_try_timeout)


def _rewrite(words: RewriteWords, prefix: str | None) -> Rewrite:
    regex = (words.uri_regex.match, words.uri_regex.rewrite) if words.uri_regex else None
    return Rewrite(words.uri, prefix if words.uri is not None else None, regex, words.authority)


def _changes(words: ChangesWords | None) -> HeaderChanges:
    if words is None:
        return HeaderChanges()
    return HeaderChanges(
        tuple(sorted((words.set or {}).items())), tuple(sorted((words.add or {}).items())), words.remove or ()
    )


def _share(percent: float) -> int:
    return round(percent * TOTAL / 100)
