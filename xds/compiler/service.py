"""One service compiled: what its rule document and its instances mean to Envoy.

Routes never depend on instances and endpoints never on weights, so a change of one recompiles only that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from envoy_data_plane.envoy.config.route.v3 import VirtualHost

from xds.compiler import plain_routes
from xds.compiler.actions import safe_retries
from xds.compiler.clusters import eds_cluster
from xds.compiler.decisions import Decision, decisions
from xds.compiler.endpoints import can_serve, load_assignment
from xds.compiler.matcher import matcher
from xds.compiler.names import cluster_name
from xds.rules.instance import Instance
from xds.rules.model import RuleDocument
from xds.wire import build, delimited, encode

_DOMAINS = 2  # VirtualHost.domains


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
    decided = decisions(service, rule)
    host = _virtual_host(service, decided)
    hosts = rule.hosts if rule else ()
    return ServiceRoutes(
        mesh=_with_domains(host, [service]),
        edge=_with_domains(host, hosts) if hosts else None,
        gateways=frozenset(rule.gateways) if rule and hosts else frozenset(),
        clusters={name: eds_cluster(name) for name in _clusters(service, rule)},
        requires=frozenset().union(*(decision.clusters() for decision in decided)),
    )


def compile_endpoints(
    service: str, rule: RuleDocument | None, instances: Sequence[Instance]
) -> Mapping[str, bytes]:
    """Compile the instances of a service into one ClusterLoadAssignment per cluster, by cluster name.

    A subset without a serving instance gets the baseline's, so that its share of the requests is served:
    routes need not change, and it takes effect in one update.
    """
    able = list(filter(can_serve, instances))
    return {
        name: load_assignment(name, _instances_of(rule, subset, able))
        for name, subset in _clusters(service, rule).items()
    }


def _virtual_host(service: str, decided: Sequence[Decision]) -> bytes:
    """Encode the virtual host of a service but for its domains."""
    host = build(VirtualHost, name=service, retry_policy=safe_retries())
    if all(plain_routes.expressible(match) for decision in decided for match in decision.matches):
        host.routes = [route for decision in decided for route in plain_routes.routes(decision)]
    else:
        host.matcher = matcher(decided)
    return encode(host)


def _with_domains(host: bytes, domains: Iterable[str]) -> bytes:
    return host + b"".join(delimited(_DOMAINS, domain.encode()) for domain in domains)


def _clusters(service: str, rule: RuleDocument | None) -> dict[str, str | None]:
    subsets = sorted(rule.subsets) if rule else []
    if not subsets:
        return {cluster_name(service, None): None}
    return {cluster_name(service, subset): subset for subset in subsets}


def _instances_of(
    rule: RuleDocument | None, subset: str | None, able: Sequence[Instance]
) -> Sequence[Instance]:
    if rule is None or subset is None:
        return able
    chosen = _selected(rule, subset, able)
    return chosen or (_selected(rule, rule.baseline, able) if rule.baseline else [])


def _selected(rule: RuleDocument, subset: str, able: Sequence[Instance]) -> list[Instance]:
    return [instance for instance in able if rule.subsets[subset].selects(instance.metadata)]
