"""One service compiled: what its rule document and its instances mean to Envoy.

Routes never depend on instances and endpoints never on weights, so a change of one recompiles only that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envoy_data_plane.envoy.config.route.v3 import VirtualHost

from xds.compiler import actions, plain_routes
from xds.compiler.clusters import eds_cluster
from xds.compiler.endpoints import load_assignment, selected
from xds.compiler.names import cluster_name
from xds.rules.instance import Instance
from xds.rules.model import RuleDocument
from xds.wire import encode


@dataclass(frozen=True, slots=True)
class ServiceRoutes:
    """A service's share of the resources that come from its rules, encoded.

    ``mesh`` is its VirtualHost under its own name, ``edge`` the one under its public hosts, for the proxy
    groups ``gateways``; None if it has no hosts. ``clusters`` are all it has, by name, in name order;
    ``requires`` names those that its routes send to.
    """

    mesh: bytes
    edge: bytes | None
    gateways: frozenset[str]
    clusters: Mapping[str, bytes]
    requires: frozenset[str]


def compile_routes(service: str, rule: RuleDocument | None) -> ServiceRoutes:
    """Compile the rule document of a service, or, for a service without, one route to all its instances."""
    baseline = actions.baseline_action(rule, service)
    last_name = "baseline" if rule and rule.baseline else service
    routes = [plain_routes.catch_all(last_name, baseline)]
    requires = actions.clusters_of(baseline)
    if rule is not None and rule.enabled:
        for entry in reversed(rule.http):
            action = actions.rule_action(rule, entry)
            requires |= actions.clusters_of(action)
            routes[:0] = plain_routes.routes(entry, action)
    hosts = rule.hosts if rule else ()
    host = VirtualHost(name=service, domains=[service], routes=routes, retry_policy=actions.safe_retries())
    mesh = encode(host)
    host.domains = list(hosts)
    return ServiceRoutes(
        mesh=mesh,
        edge=encode(host) if hosts else None,
        gateways=frozenset(rule.gateways) if rule and hosts else frozenset(),
        clusters={name: eds_cluster(name) for name in _clusters(service, rule)},
        requires=requires,
    )


def compile_endpoints(
    service: str, rule: RuleDocument | None, instances: Sequence[Instance]
) -> Mapping[str, bytes]:
    """Compile the instances of a service into one ClusterLoadAssignment per cluster, by cluster name.

    A subset without a serving instance gets the baseline's, so that its share of the requests is served:
    routes need not change, and it takes effect in one update.
    """
    assignments: dict[str, bytes] = {}
    for name, subset in _clusters(service, rule).items():
        chosen = instances if rule is None or subset is None else _instances_of(rule, subset, instances)
        assignments[name] = load_assignment(name, chosen)
    return assignments


def _clusters(service: str, rule: RuleDocument | None) -> dict[str, str | None]:
    subsets = sorted(rule.subsets) if rule else []
    if not subsets:
        return {cluster_name(service, None): None}
    return {cluster_name(service, subset): subset for subset in subsets}


def _instances_of(rule: RuleDocument, subset: str, instances: Sequence[Instance]) -> list[Instance]:
    chosen = selected(instances, rule.subsets[subset].labels)
    if chosen or rule.baseline is None:
        return chosen
    return selected(instances, rule.subsets[rule.baseline].labels)
