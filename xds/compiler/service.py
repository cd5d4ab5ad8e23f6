"""The routes of one service: what its rule document means to Envoy.

They never depend on instances, and what does (`xds.compiler.upstreams`) never on weights, so a change of one
recompiles only that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from envoy_data_plane.envoy.config.route.v3 import FilterConfig, VirtualHost
from envoy_data_plane.google.protobuf import Any

from xds.compiler import plain_routes
from xds.compiler.actions import safe_retries
from xds.compiler.connection_managers import GRPC_WEB_FILTER
from xds.compiler.decisions import Decision, decisions
from xds.compiler.matcher import matcher
from xds.rules.model import RuleDocument
from xds.wire import any_of, build, delimited, encode

_DOMAINS = 2  # VirtualHost.domains


@dataclass(frozen=True, slots=True)
class ServiceRoutes:
    """A service's share of the resources that come from its rules, encoded.

    ``mesh`` is its VirtualHost under its own name, ``edge`` the one under its public hosts, for the proxy
    groups ``gateways``; None if it has no hosts. ``requires`` names the clusters that its routes send to.
    """

    mesh: bytes
    edge: bytes | None
    gateways: frozenset[str]
    requires: frozenset[str]


def compile_routes(service: str, rule: RuleDocument | None) -> ServiceRoutes:
    """Compile the rule document of a service, or, for a service without, one route to all its instances."""
    decided = decisions(service, rule)
    host = _virtual_host(service, decided, grpc=rule is not None and _speaks_grpc(rule))
    hosts = rule.hosts if rule else ()
    return ServiceRoutes(
        mesh=_with_domains(host, [service]),
        edge=_with_domains(host, hosts) if hosts else None,
        gateways=frozenset(rule.gateways) if rule and hosts else frozenset(),
        requires=frozenset().union(*(decision.clusters() for decision in decided)),
    )


def _virtual_host(service: str, decided: Sequence[Decision], *, grpc: bool) -> bytes:
    """Encode the virtual host of a service but for its domains; of a ``grpc`` service, browsers may use
    gRPC-Web.
    """
    host = build(
        VirtualHost,
        name=service,
        retry_policy=safe_retries(),
        typed_per_filter_config={GRPC_WEB_FILTER: _filter_on()} if grpc else {},
    )
    if all(plain_routes.expressible(match) for decision in decided for match in decision.matches):
        host.routes = [route for decision in decided for route in plain_routes.routes(decision)]
    else:
        host.matcher = matcher(decided)
    return encode(host)


def _with_domains(host: bytes, domains: Iterable[str]) -> bytes:
    return host + b"".join(delimited(_DOMAINS, domain.encode()) for domain in domains)


@cache
def _filter_on() -> Any:
    """Turn on a filter that is off in the connection manager."""
    return any_of(build(FilterConfig, config=Any()))


def _speaks_grpc(rule: RuleDocument) -> bool:
    return any(rule.traffic_policy_of(subset).protocol == "grpc" for subset in (*rule.subsets, None))
