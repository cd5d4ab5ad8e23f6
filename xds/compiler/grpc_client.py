"""What gRPC clients without a proxy are sent for one service ("proxyless", gRFC A27 to A47).

They know fewer fields than Envoy, and ignore most of the others rather than reject them: what they cannot do
is refused before it comes here (``xds.rules.grpc_limits``). What is sent keeps to what the clients of Go,
Java, Python (C core) and JavaScript all do:

- A Listener with the service's name, an ApiListener; one RouteConfiguration for the service, with one virtual
  host for every target.
- After the route for all calls follows a route for each cluster that is never reached. grpc-go drops calls
  when the set of clusters that its routes name changes; so it never changes with a weight or a match.
- A sticky split is one cluster: its localities are the subsets, their weights the shares, and a ring hash on
  the header picks the endpoint. A share that is raised takes users from the others and gives none back.
- A cluster's load assignment falls back by priority, and is empty only if no instance at all can serve.

What has the same bytes for every service but for its name is put together from fields.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
    ClusterLbPolicy,
    ClusterRingHashLbConfig,
)
from envoy_data_plane.envoy.config.core.v3 import ConfigSource, SelfConfigSource
from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    Route,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyHeader,
    RouteActionMaxStreamDuration,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import HttpFault
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
    Rds,
)

from xds.compiler.config_source import ADS
from xds.compiler.endpoints import lb_endpoint, weights_by_address
from xds.compiler.faults import FAULT_FILTER, http_fault
from xds.compiler.grpc_matches import UnsupportedError, route_matches
from xds.compiler.localities import lb_locality
from xds.compiler.names import target_cluster
from xds.routing.buckets import decided_by_bucket
from xds.routing.model import Decision, Forward, Retries, Routing, Split, Target
from xds.routing.predicates import Header
from xds.routing.splits import TOTAL
from xds.rules.grpc_limits import RETRY_CONDITIONS
from xds.rules.instance import Instance, Locality
from xds.wire import any_of, build, delimited, encode, type_url

# Field numbers, by the files of the messages: listener.proto, api_listener.proto,
# http_connection_manager.proto, cluster.proto, endpoint.proto, endpoint_components.proto, base.proto.
_LISTENER_NAME = 1
_API_LISTENER = 19
_API_LISTENER_FIELD = 1  # ApiListener.api_listener
_RDS = 3  # HttpConnectionManager.rds
_ROUTE_CONFIG_NAME = 2  # Rds.route_config_name
_CLUSTER_NAME = 1
_ASSIGNMENT_NAME = 1  # ClusterLoadAssignment.cluster_name
_ENDPOINTS = 2  # ClusterLoadAssignment.endpoints

_ROUTER = "envoy.filters.http.router"
_RING_SIZE = 4096
"""Clients make no larger ring, whatever they are told."""
_LOCALITY_WEIGHT = 10_000
"""The weights of the endpoints of a locality add up to about this, so that a locality has the share it is to
have however many instances it has."""
_WEIGHT_UNIT = TOTAL // 10_000
"""Of a share, in the weight of a locality. A client multiplies it with the weight of an endpoint and adds all
up in 32 bits."""
_UNLIMITED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class GrpcClientRoutes:
    """The encoded Listener and RouteConfiguration of a service; both have its name.

    ``requires`` names the clusters that the routes send to, in order.
    """

    listener: bytes
    routes: bytes
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrpcClientUpstream:
    """An encoded Cluster and its encoded ClusterLoadAssignment."""

    cluster: bytes
    endpoints: bytes


@dataclass(frozen=True, slots=True)
class GrpcClientDestinations:
    """What of a service's routing the clusters of gRPC clients depend on.

    ``clusters`` are what each is for, by name and in this order. An edit of matches, or of the weights of a
    split by chance, leaves all of it as it was.
    """

    subsets: Mapping[str, Mapping[str, str]]
    clusters: Mapping[str, "_ClusterOf"]

    @classmethod
    def of(cls, routing: Routing) -> Self:
        """Take them out of a routing."""
        return cls(routing.subsets, _clusters(decided_by_bucket(routing)))


def compile_grpc_client_routes(routing: Routing) -> GrpcClientRoutes:
    """Compile the routes. Raise ``UnsupportedError`` for what ``xds.rules.grpc_limits`` finds."""
    routing = decided_by_bucket(routing)
    clusters = tuple(_clusters(routing))
    decided = [route for decision in routing.decisions for route in _routes(decision, routing.baseline)]
    unreached = [
        build(Route, match=build(RouteMatch, prefix=""), route=build(RouteAction, cluster=name))
        for name in clusters
    ]
    host = build(VirtualHost, name=routing.service, domains=["*"], routes=[*decided, *unreached])
    routes = build(RouteConfiguration, name=routing.service, virtual_hosts=[host])
    return GrpcClientRoutes(_listener(routing.service), encode(routes), clusters)


def compile_grpc_client_upstreams(
    destinations: GrpcClientDestinations, instances: Sequence[Instance]
) -> Mapping[str, GrpcClientUpstream]:
    """Compile the clusters of a service, by name, in order of name."""
    by_subset = _InstancesBySubset(destinations.subsets, instances)
    return {
        name: GrpcClientUpstream(_cluster(name, of), _load_assignment(name, of, by_subset))
        for name, of in destinations.clusters.items()
    }


# Clusters


@dataclass(frozen=True, slots=True)
class _ClusterOf:
    """What a cluster is for: one target, or the split that a rule makes by a header."""

    target: Target | None = None
    split: Split | None = None


def _clusters(routing: Routing) -> Mapping[str, _ClusterOf]:
    """Return the clusters of a service by name: one for each target, one for each sticky split."""
    found: dict[str, _ClusterOf] = {}
    for decision in routing.decisions:
        if isinstance(decision.action, Forward):
            split = decision.action.split
            if _is_sticky(split):
                found[_split_name(decision)] = _ClusterOf(split=split)
            else:
                found |= {
                    target_cluster(share.target, routing.baseline): _ClusterOf(share.target)
                    for share in split.shares
                }
    # Every subset, named or not: a rule that comes to name it changes no set of clusters.
    for subset in routing.subsets:
        target = Target(routing.service, subset, None if subset == routing.baseline else routing.baseline)
        found.setdefault(target_cluster(target, routing.baseline), _ClusterOf(target))
    return dict(sorted(found.items()))


def split_clusters(routing: Routing) -> tuple[str, ...]:
    """Name the clusters that sticky splits have; the zone of a locality in them is its subset."""
    return tuple(name for name, cluster in _clusters(routing).items() if cluster.split)


def _is_sticky(split: Split) -> bool:
    return split.identity is not None and len(split.shares) > 1


def _split_name(decision: Decision) -> str:
    assert isinstance(decision.action, Forward)
    return f"{decision.action.split.shares[0].target.service}|~{decision.name}"


def _cluster(name: str, of: _ClusterOf) -> bytes:
    return _cluster_settings(hashing=of.split is not None) + delimited(_CLUSTER_NAME, name.encode())


@cache
def _cluster_settings(*, hashing: bool) -> bytes:
    """Encode what all clusters have in common."""
    ring = build(ClusterRingHashLbConfig, minimum_ring_size=_RING_SIZE, maximum_ring_size=_RING_SIZE)
    # gRPC's own limit is 1,024 requests at once (gRFC A32), which nobody chose.
    no_limit = build(CircuitBreakersThresholds, max_requests=_UNLIMITED)
    return encode(
        build(
            Cluster,
            type=ClusterDiscoveryType.EDS,
            eds_cluster_config=build(ClusterEdsClusterConfig, eds_config=ADS),
            lb_policy=ClusterLbPolicy.RING_HASH if hashing else ClusterLbPolicy.ROUND_ROBIN,
            ring_hash_lb_config=ring if hashing else None,
            lrs_server=build(ConfigSource, self=build(SelfConfigSource)),
            circuit_breakers=build(CircuitBreakers, thresholds=[no_limit]),
        )
    )


# Endpoints


class _InstancesBySubset:
    """The instances that can serve, by subset: their weights by address. Each subset's are chosen once."""

    def __init__(self, subsets: Mapping[str, Mapping[str, str]], instances: Sequence[Instance]) -> None:
        self._subsets = subsets
        self._instances = instances
        # By subset, once it was asked for. Written by ``__getitem__``.
        self._chosen: dict[str | None, Mapping[tuple[str, int], float]] = {}

    def __getitem__(self, subset: str | None) -> Mapping[tuple[str, int], float]:
        if subset not in self._chosen:
            labels = self._subsets[subset].items() if subset is not None else ()
            self._chosen[subset] = weights_by_address(
                each
                for each in self._instances
                if all(each.metadata.get(key) == value for key, value in labels)
            )
        return self._chosen[subset]


def _load_assignment(name: str, of: _ClusterOf, instances: _InstancesBySubset) -> bytes:
    localities: Iterable[bytes] = ()
    if of.split:
        localities = _localities_of_split(of.split, instances)
    elif of.target:
        localities = _localities_of_target(of.target, instances)
    encoded = (delimited(_ENDPOINTS, locality) for locality in localities)
    return delimited(_ASSIGNMENT_NAME, name.encode()) + b"".join(encoded)


def _localities_of_target(target: Target, instances: _InstancesBySubset) -> Iterator[bytes]:
    """Yield the subset's instances first, those of its fallback behind them; priorities have no gap."""
    order = [target.subset] if target.fallback is None else [target.subset, target.fallback]
    filled = [subset for subset in order if instances[subset]]
    for priority, subset in enumerate(filled):
        yield _locality(subset, 1, instances[subset], priority)


def _localities_of_split(split: Split, instances: _InstancesBySubset) -> Iterator[bytes]:
    """Yield a locality for each subset, with its share; one without instances hands it to its fallback."""
    weights: dict[str | None, int] = {}
    for share in split.shares:
        subset = share.target.subset if instances[share.target.subset] else share.target.fallback
        weights[subset] = weights.get(subset, 0) + share.share
    for subset, weight in sorted(weights.items(), key=lambda item: item[0] or ""):
        if instances[subset]:
            yield _locality(subset, max(1, weight // _WEIGHT_UNIT), instances[subset], 0)


def _locality(
    subset: str | None, weight: int, instances: Mapping[tuple[str, int], float], priority: int
) -> bytes:
    """Encode a locality; its zone is the subset, by which load reports tell subsets apart."""
    total = sum(instances.values())
    endpoints = (
        lb_endpoint(address, port, max(1, round(_LOCALITY_WEIGHT * own / total)))
        for (address, port), own in sorted(instances.items())
    )
    return lb_locality(Locality(zone=subset or ""), endpoints, weight=weight, priority=priority)


# Listener and routes


def _listener(service: str) -> bytes:
    rds = _rds_settings() + delimited(_ROUTE_CONFIG_NAME, service.encode())
    manager = _manager_settings() + delimited(_RDS, rds)
    packed = delimited(1, type_url(HttpConnectionManager).encode()) + delimited(2, manager)
    api_listener = delimited(_API_LISTENER_FIELD, packed)
    return delimited(_LISTENER_NAME, service.encode()) + delimited(_API_LISTENER, api_listener)


@cache
def _rds_settings() -> bytes:
    return encode(build(Rds, config_source=ADS))


@cache
def _manager_settings() -> bytes:
    filters = [
        build(HttpFilter, name=FAULT_FILTER, typed_config=any_of(build(HttpFault))),
        build(HttpFilter, name=_ROUTER, typed_config=any_of(build(Router))),
    ]
    return encode(build(HttpConnectionManager, http_filters=filters))


def _routes(decision: Decision, baseline: str | None) -> Iterator[Route]:
    """Build the routes of a decision: one for each way in which its predicate can hold."""
    if not isinstance(decision.action, Forward):
        raise UnsupportedError(f"{decision.name}: a gRPC client can only send a call on")
    action = _action(decision, decision.action, baseline)
    delay, abort = decision.action.delay, decision.action.abort
    filters = {FAULT_FILTER: any_of(http_fault(delay, abort))} if delay or abort else {}
    for match in route_matches(decision.when):
        yield build(
            Route,
            name=decision.name,
            match=match,
            route=action,
            typed_per_filter_config=filters,
        )


def _action(decision: Decision, forward: Forward, baseline: str | None) -> RouteAction:
    action = build(RouteAction)
    if forward.timeout is not None:
        action.max_stream_duration = build(RouteActionMaxStreamDuration, max_stream_duration=forward.timeout)
    if forward.retries is not None:
        action.retry_policy = _retry_policy(forward.retries)
    shares = forward.split.shares
    if _is_sticky(forward.split):
        if not isinstance(forward.split.identity, Header):
            raise UnsupportedError(f"{decision.name}: a gRPC client hashes headers alone")
        header = build(RouteActionHashPolicyHeader, header_name=forward.split.identity.name)
        action.cluster = _split_name(decision)
        action.hash_policy = [build(RouteActionHashPolicy, header=header)]
    elif len(shares) == 1:
        action.cluster = target_cluster(shares[0].target, baseline)
    else:
        action.weighted_clusters = build(
            WeightedCluster,
            clusters=[
                build(
                    WeightedClusterClusterWeight,
                    name=target_cluster(share.target, baseline),
                    weight=share.share,
                )
                for share in shares
            ],
        )
    return action


def _retry_policy(retries: Retries) -> RetryPolicy:
    known = [condition for condition in retries.conditions if condition in RETRY_CONDITIONS]
    return build(RetryPolicy, retry_on=",".join(known), num_retries=retries.attempts)
