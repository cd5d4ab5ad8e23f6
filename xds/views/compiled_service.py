"""One service, compiled: everything of it that any node may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from xds.cache import Ref, Resource
from xds.compiler.names import service_of
from xds.compiler.service import compile_endpoints, compile_routes
from xds.documents.identity import Origin
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import RuleDocument
from xds.type_urls import CLUSTER, ENDPOINT


@dataclass(frozen=True, slots=True)
class CompiledService:
    """A service's clusters, their endpoints, and its virtual hosts, encoded.

    ``mesh`` is its virtual host on sidecars, ``edge`` the one with its ``hosts`` on its ``gateways`` (None:
    it has no hosts). ``requires`` are the clusters that either names, ``required_services`` the other
    services that these belong to. ``origins`` are the versions of the documents
    that it was compiled from; none if it has no rule document.
    """

    id: ServiceId
    origins: tuple[Origin, ...]
    has_rule: bool
    mesh: bytes
    edge: bytes | None
    hosts: tuple[str, ...]
    gateways: frozenset[str]
    requires: frozenset[Ref]
    required_services: frozenset[str]
    clusters: tuple[Resource, ...]
    endpoints: tuple[Resource, ...]

    @classmethod
    def of(
        cls,
        service: ServiceId,
        rule: RuleDocument | None,
        origins: tuple[Origin, ...],
        instances: Sequence[Instance],
    ) -> Self:
        """Compile a service from its rule and its instances."""
        routes = compile_routes(service.name, rule)
        clusters = tuple(
            Resource.of(CLUSTER, cluster, body, warms=Ref(ENDPOINT, cluster), origins=origins)
            for cluster, body in routes.clusters.items()
        )
        return cls(
            id=service,
            origins=origins,
            has_rule=rule is not None,
            mesh=routes.mesh,
            edge=routes.edge,
            hosts=rule.hosts if rule else (),
            gateways=routes.gateways,
            requires=frozenset(Ref(CLUSTER, cluster) for cluster in routes.requires),
            required_services=frozenset(map(service_of, routes.requires)) - {service.name},
            clusters=clusters,
            endpoints=_endpoints(service, rule, origins, instances),
        )

    def with_instances(self, rule: RuleDocument | None, instances: Sequence[Instance]) -> Self:
        """Return the same service with other instances; no route depends on those."""
        return replace(self, endpoints=_endpoints(self.id, rule, self.origins, instances))


def _endpoints(
    service: ServiceId,
    rule: RuleDocument | None,
    origins: tuple[Origin, ...],
    instances: Sequence[Instance],
) -> tuple[Resource, ...]:
    return tuple(
        Resource.of(ENDPOINT, cluster, body, origins=origins)
        for cluster, body in compile_endpoints(service.name, rule, instances).items()
    )
