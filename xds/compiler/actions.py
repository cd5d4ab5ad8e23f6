"""Route actions: where the requests of a rule go, and for how long they may take."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache

from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    RetryPolicyRetryHostPredicate,
    RetryPolicyRetryPriority,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyHeader,
    WeightedCluster,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities.v3 import (
    PreviousPrioritiesConfig,
)

from xds.compiler.names import cluster_name
from xds.compiler.splits import shares
from xds.rules.model import Destination, HttpRule, RuleDocument
from xds.wire import any_of, build

# Envoy's own default of 15 s would cut off what worked without a proxy: event streams, long polls,
# downloads. What bounds a silent request is the stream idle timeout of the listener.
_NO_TIMEOUT = timedelta(0)


def baseline_action(service: str, baseline: str | None) -> RouteAction:
    """Send everything to the baseline, or to all instances of a service without subsets."""
    return build(RouteAction, cluster=cluster_name(service, baseline), timeout=_NO_TIMEOUT)


def rule_action(
    document: RuleDocument, rule: HttpRule, identity: RouteActionHashPolicy | None = None
) -> RouteAction:
    """Build the action of a rule: one cluster, or a split, by the hash of an identity or by chance.

    In a split come the gray subsets by name, then the baseline. With the fixed total this makes it stable:
    raising the share of a subset adds users to it and takes none away.
    """
    timeout = _NO_TIMEOUT if rule.timeout is None else rule.timeout
    weights = shares(_weights(rule.route))
    names = sorted(weights, key=lambda subset: (subset == document.baseline, subset))
    if len(names) == 1:
        return build(RouteAction, cluster=cluster_name(document.service, names[0]), timeout=timeout)
    split = build(
        WeightedCluster,
        clusters=[
            build(
                WeightedClusterClusterWeight, name=cluster_name(document.service, name), weight=weights[name]
            )
            for name in names
        ],
        use_hash_policy=True if identity else None,
    )
    return build(
        RouteAction, weighted_clusters=split, hash_policy=[identity] if identity else [], timeout=timeout
    )


def by_header(name: str) -> RouteActionHashPolicy:
    """Identify a user by a header. Requests without it are split by chance."""
    return build(RouteActionHashPolicy, header=build(RouteActionHashPolicyHeader, header_name=name))


def by_cookie(name: str) -> RouteActionHashPolicy:
    """Identify a user by a cookie. Requests without it are split by chance."""
    return build(RouteActionHashPolicy, cookie=build(RouteActionHashPolicyCookie, name=name))


def clusters_of(action: RouteAction) -> frozenset[str]:
    """Return the names of the clusters an action may send to."""
    if action.weighted_clusters is None:
        return frozenset({action.cluster or ""})
    return frozenset(part.name for part in action.weighted_clusters.clusters)


@cache
def safe_retries() -> RetryPolicy:
    """Try elsewhere when a request cannot have been seen by the application.

    So an instance that goes away costs nobody a request, and nothing is ever done twice: all three
    conditions hold only before the application has got any of the request. The first retry tries another
    instance of the subset, the second one of its fallback if it has one (`xds.compiler.upstreams`).
    """
    previous_hosts = RetryPolicyRetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts", typed_config=any_of(PreviousHostsPredicate())
    )
    retry_priority = RetryPolicyRetryPriority(
        name="envoy.retry_priorities.previous_priorities",
        typed_config=any_of(PreviousPrioritiesConfig(update_frequency=2)),
    )
    return RetryPolicy(
        retry_on="connect-failure,refused-stream,reset-before-request",
        num_retries=2,
        retry_host_predicate=[previous_hosts],
        retry_priority=retry_priority,
        host_selection_retry_max_attempts=3,
    )


def _weights(route: Sequence[Destination]) -> dict[str, int]:
    if len(route) == 1:
        return {route[0].subset: 1}
    return {destination.subset: destination.weight or 0 for destination in route}
