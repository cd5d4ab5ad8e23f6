"""Upstreams of a service: a cluster per subset, and the instances that serve it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xds.compiler.clusters import DEFAULT_POLICY, eds_cluster
from xds.compiler.endpoints import can_serve, load_assignment
from xds.compiler.names import cluster_name
from xds.rules.instance import Instance, Protocol, protocol_of
from xds.rules.model import RuleDocument, TrafficPolicy


@dataclass(frozen=True, slots=True)
class Upstream:
    """An encoded Cluster and its encoded ClusterLoadAssignment."""

    cluster: bytes
    endpoints: bytes


def compile_upstreams(
    service: str, rule: RuleDocument | None, instances: Sequence[Instance]
) -> Mapping[str, Upstream]:
    """Compile the clusters of a service, by name, in order of name.

    Routes name a subset's cluster whether or not the subset can serve: what takes over for it is in the
    cluster. By what the registry says, the fallback's instances are the only ones as long as there are no
    others; by what Envoy sees, they are at priority 1. The second is possible only if both speak the same
    protocol with the same TLS, since those are the cluster's.
    """
    able = [instance for instance in instances if can_serve(instance)]
    return {
        cluster_name(service, subset): _upstream(service, rule, subset, able) for subset in _subsets(rule)
    }


class _Side(NamedTuple):
    """A subset or its fallback: its instances and how they are spoken to."""

    instances: Sequence[Instance]
    policy: TrafficPolicy
    protocol: Protocol

    def is_spoken_to_like(self, other: "_Side") -> bool:
        return (self.protocol, self.policy.tls) == (other.protocol, other.policy.tls)


def _upstream(
    service: str, rule: RuleDocument | None, subset: str | None, able: Sequence[Instance]
) -> Upstream:
    name = cluster_name(service, subset)
    own = _side(rule, subset, able)
    if rule is None or subset is None or subset == rule.baseline:
        cluster = eds_cluster(name, own.policy, own.protocol)
        return Upstream(cluster, load_assignment(name, own.instances))
    fallback = _side(rule, rule.baseline, able)
    if not own.instances:
        # Its own policy but the fallback's way of speaking, so that nothing changes when it is back.
        own = _Side((), own.policy.model_copy(update={"tls": fallback.policy.tls}), fallback.protocol)
    shared = own.is_spoken_to_like(fallback)
    cluster = eds_cluster(name, own.policy, own.protocol, has_fallback=shared)
    return Upstream(cluster, load_assignment(name, own.instances, fallback.instances if shared else ()))


def _side(rule: RuleDocument | None, subset: str | None, able: Sequence[Instance]) -> _Side:
    policy = rule.traffic_policy_of(subset) if rule else DEFAULT_POLICY
    instances = able
    if rule is not None and subset is not None:
        selects = rule.subsets[subset].selects
        instances = [instance for instance in able if selects(instance.metadata)]
    protocol = Protocol(policy.protocol) if policy.protocol else protocol_of(instances)
    return _Side(instances, policy, protocol)


def _subsets(rule: RuleDocument | None) -> Iterator[str | None]:
    yield from sorted(rule.subsets) if rule and rule.subsets else (None,)
