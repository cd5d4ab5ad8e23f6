"""The resources that both servers serve when the servers alone are measured.

They are what Grayplane compiles: for each service its clusters, their endpoints, and its routes, either as a
RouteConfiguration of its own (as scoped routes have it) or all together in one (as one RDS subscription has
it). The files hold them for our server (pickled) and for the peer's (``peer/corpus.go``).
"""

import pickle
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from bench import workload
from bench.compiled import compiled
from xds.cache import Ref, Resource
from xds.compiler.route_configuration import route_configuration
from xds.type_urls import ROUTE
from xds.wire import delimited, varint

Routes = Literal["each", "together"]
"""Whether each service has a RouteConfiguration of its own."""

TOGETHER = "edge"
"""The name of the one RouteConfiguration."""


class Corpus(NamedTuple):
    """Resources in files, the name of the one that is edited, and how many there are of its type."""

    ours: Path
    peers: Path
    edited: str
    routes: int


@cache
def corpus(services: int, routes: Routes = "each") -> Corpus:
    """Write the resources of so many services, once in this process."""
    resources = list(_resources(services, routes))
    ours = Path(_directory().name, f"{services}-{routes}.pickle")
    ours.write_bytes(pickle.dumps(resources))
    peers = ours.with_suffix(".resources")
    peers.write_bytes(b"".join(_framed(resource) for resource in resources))
    if routes == "together":
        return Corpus(ours, peers, TOGETHER, 1)
    return Corpus(ours, peers, workload.host(workload.EDITED), services)


@cache
def _directory() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="grayplane-bench-")  # gone with this process


def _resources(services: int, routes: Routes) -> list[Resource]:
    known = [compiled(number) for number in range(services)]
    resources = [resource for service in known for resource in (*service.clusters, *service.endpoints)]
    if routes == "together":
        body = route_configuration(TOGETHER, (service.edge or b"" for service in known))
        requires = frozenset[Ref]().union(*(service.requires for service in known))
        return [*resources, Resource.of(ROUTE, TOGETHER, body, requires=requires)]
    for number, service in enumerate(known):
        name = workload.host(number)
        body = route_configuration(name, [service.edge or b""])
        resources.append(Resource.of(ROUTE, name, body, requires=service.requires, origins=service.origins))
    return resources


def _framed(resource: Resource) -> bytes:
    body = delimited(1, resource.type_url.encode()) + delimited(2, resource.body)
    named = delimited(1, resource.version.encode()) + delimited(3, resource.name.encode())
    message = named + delimited(2, body)
    return varint(len(message)) + message
