"""One service, compiled: everything of it that any proxy may see."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Self

import msgspec

from xds.cache import Ref, Resource
from xds.compiler.service import compile_endpoints, compile_routes
from xds.rules.instance import Instance
from xds.rules.model import RuleDocument
from xds.type_urls import CLUSTER, ENDPOINT


@dataclass(frozen=True, slots=True)
class CompiledService:
    """A service's clusters, their endpoints, and its virtual hosts, encoded.

    ``mesh`` is its virtual host on sidecars, ``edge`` the one with its ``hosts`` on its ``gateways`` (None:
    it has no hosts). ``requires`` are the clusters that either names. ``origin`` is the rule document, or
    the service's own name if it has none: who to ask when a proxy rejects it.
    """

    name: str
    origin: str
    ruled: bool
    mesh: bytes
    edge: bytes | None
    hosts: tuple[str, ...]
    gateways: frozenset[str]
    requires: frozenset[Ref]
    clusters: tuple[Resource, ...]
    endpoints: tuple[Resource, ...]

    @classmethod
    def of(cls, name: str, rule: RuleDocument | None, origin: str, instances: Sequence[Instance]) -> Self:
        """Compile a service from its rule and its instances."""
        routes = compile_routes(name, rule)
        clusters = tuple(
            Resource.of(CLUSTER, cluster, body, warms=Ref(ENDPOINT, cluster), origins=(origin,))
            for cluster, body in routes.clusters.items()
        )
        return cls(
            name=name,
            origin=origin,
            ruled=rule is not None,
            mesh=routes.mesh,
            edge=routes.edge,
            hosts=rule.hosts if rule else (),
            gateways=routes.gateways,
            requires=frozenset(Ref(CLUSTER, cluster) for cluster in routes.requires),
            clusters=clusters,
            endpoints=_endpoints(name, rule, origin, instances),
        )

    def with_instances(self, rule: RuleDocument | None, instances: Sequence[Instance]) -> Self:
        """Return the same service with other instances; no route depends on those."""
        return replace(self, endpoints=_endpoints(self.name, rule, self.origin, instances))


def _endpoints(
    name: str, rule: RuleDocument | None, origin: str, instances: Sequence[Instance]
) -> tuple[Resource, ...]:
    return tuple(
        Resource.of(ENDPOINT, cluster, body, origins=(origin,))
        for cluster, body in compile_endpoints(name, rule, instances).items()
    )


def inputs_digest(rule: RuleDocument | None, origin: str, instances: Sequence[Instance]) -> str:
    """Return a digest of everything that a service is compiled from, the compiler itself included."""
    digest = hashlib.blake2b(_compiler_digest(), digest_size=16)
    digest.update(rule.model_dump_json().encode() if rule else b"")
    digest.update(msgspec.json.encode((origin, instances), order="deterministic"))
    return digest.hexdigest()


@cache
def _compiler_digest() -> bytes:
    digest = hashlib.blake2b(metadata.version("envoy-data-plane").encode())
    for package in ("xds.compiler", "xds.wire", "xds.rules"):
        for source in sorted(resources.files(package).iterdir(), key=_name):
            if source.name.endswith(".py"):
                digest.update(source.read_bytes())
    return digest.digest()


def _name(file: Traversable) -> str:
    return file.name
