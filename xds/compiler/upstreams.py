"""Upstreams of a service: a cluster per subset, and the instances that serve it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from xds.compiler.clusters import DEFAULT_POLICY, subset_cluster
from xds.compiler.endpoints import can_serve, has_host_name, load_assignment
from xds.compiler.names import target_cluster
from xds.routing import Routing, Target
from xds.rules.instance import Instance, Protocol, protocol_of
from xds.rules.model import TrafficPolicy


@dataclass(frozen=True, slots=True)
class Destinations:
    """What of a service's routing its clusters depend on: subsets, how they are spoken to, which are named.

    ``targets`` are every subset with its usual fallback, and whatever else routes name. An edit of matches or
    weights leaves all of it as it was.
    """

    service: str
    baseline: str | None
    subsets: Mapping[str, Mapping[str, str]]
    policies: Mapping[str | None, TrafficPolicy]
    targets: frozenset[Target]

    @classmethod
    def of(cls, routing: Routing) -> Self:
        """Take them out of a routing."""
        service, baseline = routing.service, routing.baseline
        targets = frozenset({Target(service, None)})
        if routing.subsets:
            usual = (
                Target(service, subset, None if subset == baseline else baseline)
                for subset in routing.subsets
            )
            targets = routing.targets().union(usual)
        return cls(service, baseline, routing.subsets, routing.policies, targets)


@dataclass(frozen=True, slots=True)
class Upstream:
    """An encoded Cluster and its encoded ClusterLoadAssignment; None if that is in the cluster."""

    cluster: bytes
    endpoints: bytes | None


def compile_upstreams(destinations: Destinations, instances: Sequence[Instance]) -> Mapping[str, Upstream]:
    """Compile the clusters of a service, by name, in order of name.

    Routes name a target's cluster whether or not its subset can serve: what takes over for it is in the
    cluster. By what the registry says, the fallback's instances are the only ones as long as there are no
    others; by what Envoy sees, they are at priority 1. The second is possible only if both speak the same
    protocol with the same TLS, since those are the cluster's.
    """
    able = [instance for instance in instances if can_serve(instance)]
    targets = {target_cluster(target, destinations.baseline): target for target in destinations.targets}
    return {name: _upstream(destinations, name, target, able) for name, target in sorted(targets.items())}


def speaks_grpc(destinations: Destinations, instances: Sequence[Instance]) -> bool:
    """Whether any subset speaks gRPC, by its policy or by the metadata of its instances."""
    able = [instance for instance in instances if can_serve(instance)]
    subsets = {target.subset for target in destinations.targets}
    return any(_side(destinations, subset, able).protocol is Protocol.GRPC for subset in subsets)


class _Side(NamedTuple):
    """A subset or its fallback: its instances and how they are spoken to."""

    instances: Sequence[Instance]
    policy: TrafficPolicy
    protocol: Protocol

    def is_spoken_to_like(self, other: "_Side") -> bool:
        return (self.protocol, self.policy.tls) == (other.protocol, other.policy.tls)


def _upstream(destinations: Destinations, name: str, target: Target, able: Sequence[Instance]) -> Upstream:
    own = _side(destinations, target.subset, able)
    if target.fallback is None:
        return _built(name, own)
    fallback = _side(destinations, target.fallback, able)
    if not own.instances:
        # Its own policy but the fallback's way of speaking, so that nothing changes when it is back.
        own = _Side((), own.policy.model_copy(update={"tls": fallback.policy.tls}), fallback.protocol)
    if not own.is_spoken_to_like(fallback):
        return _built(name, own)
    return _built(name, own, fallback.instances, target.fallback)


def _built(
    name: str, own: _Side, fallback: Sequence[Instance] | None = None, fallback_subset: str | None = None
) -> Upstream:
    """Encode a cluster and its endpoints; with a host name among those, Envoy is to resolve them."""
    instances = [*own.instances, *(fallback or ())]
    endpoints = load_assignment(name, own.instances, fallback or (), fallback_subset)
    resolved = endpoints if any(map(has_host_name, instances)) else None
    cluster = subset_cluster(
        name, own.policy, own.protocol, has_fallback=fallback is not None, resolved=resolved
    )
    return Upstream(cluster, None if resolved else endpoints)


def _side(destinations: Destinations, subset: str | None, able: Sequence[Instance]) -> _Side:
    policy = destinations.policies.get(subset, DEFAULT_POLICY)
    instances = able
    if subset is not None:
        labels = destinations.subsets[subset].items()
        instances = [instance for instance in able if labels <= instance.metadata.items()]
    protocol = Protocol(policy.protocol) if policy.protocol else protocol_of(instances)
    return _Side(instances, policy, protocol)
