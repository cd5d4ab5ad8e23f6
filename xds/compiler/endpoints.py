"""Load assignments: the instances of a cluster.

They are put together from fields. An endpoint is four messages within each other, and building those takes
thirty times as long as their bytes; of a thousand instances one changes, a restart has them all.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment

from xds.compiler.localities import lb_locality, uint32
from xds.compiler.metadata import own_metadata
from xds.rules.instance import Instance, Locality, canonical_host_name, canonical_ip
from xds.wire import delimited, encode, varint

# Field numbers (envoy/config/endpoint/v3/endpoint.proto, endpoint_components.proto, core/v3/address.proto).
_ENDPOINTS = 2  # ClusterLoadAssignment.endpoints
_POLICY = 4  # ClusterLoadAssignment.policy
_OVERPROVISIONING_FACTOR = 3  # ClusterLoadAssignment.Policy.overprovisioning_factor, a UInt32Value
_ENDPOINT = 1  # LbEndpoint.endpoint
_METADATA = 3  # LbEndpoint.metadata
_WEIGHT = 4  # LbEndpoint.load_balancing_weight, a UInt32Value
_ENDPOINT_ADDRESS = 1  # Endpoint.address
_SOCKET_ADDRESS = 1  # Address.socket_address
_ADDRESS = 2  # SocketAddress.address
_PORT_TAG = varint(3 << 3)  # SocketAddress.port_value

_Place = tuple[str, int]

# Nacos weights have decimals and end at 10,000; Envoy's are integers.
_WEIGHT_SCALE = 100
_MAX_WEIGHT = 10_000 * _WEIGHT_SCALE
_MAX_WEIGHT_SUM = 2**32 - 1  # of a locality; Envoy rejects more


# Envoy hands a part of the requests to the next priority when so many are unhealthy that the healthy ones,
# times this percentage, are fewer than all. Gray's share is gray's while one of a thousand can serve it.
_ALL_OR_NOTHING = delimited(_POLICY, delimited(_OVERPROVISIONING_FACTOR, uint32(100_000)))


def load_assignment(
    cluster: str,
    instances: Iterable[Instance],
    fallback: Iterable[Instance] = (),
    fallback_subset: str | None = None,
) -> bytes:
    """Encode the ClusterLoadAssignment of a cluster: the instances that can serve.

    ``instances`` have priority 0 and ``fallback`` priority 1: as long as one of ``instances`` is healthy to
    Envoy, they get all requests, and without one the fallback does. Those of a priority are ordered by
    locality, then by address. Of two with the same address and port the heavier counts. Nacos weights become
    load-balancing weights unless all of a priority are the same. The fallback's endpoints have the name of
    its subset as metadata, for logs.
    """
    first = _by_place(instances)
    second = {place: one for place, one in _by_place(fallback).items() if place not in first}
    encoded = encode(ClusterLoadAssignment(cluster_name=cluster))
    for locality in _localities(first):
        encoded += delimited(_ENDPOINTS, locality)
    known_as = delimited(_METADATA, own_metadata({"subset": fallback_subset})) if fallback_subset else b""
    for locality in _localities(second, 1, known_as):
        encoded += delimited(_ENDPOINTS, locality)
    return encoded + _ALL_OR_NOTHING if second else encoded


def can_serve(instance: Instance) -> bool:
    """Whether an instance may take traffic and Envoy can reach it.

    Envoy knows no IPv6 zones, and one wrong endpoint costs the whole assignment.
    """
    return instance.serving and _place(instance) is not None


def has_host_name(instance: Instance) -> bool:
    """Whether the address of an instance has to be resolved: EDS resolves no names."""
    return canonical_ip(instance.address) is None


def weights_by_address(instances: Iterable[Instance]) -> dict[_Place, float]:
    """Return the weights of those that can serve without a name to resolve, by canonical address and port.

    Of two alike the heavier counts.
    """
    found = _by_place(instance for instance in instances if not has_host_name(instance))
    return {place: one.weight for place, one in found.items()}


def _by_place(instances: Iterable[Instance]) -> dict[_Place, Instance]:
    """Return those that can serve, by canonical address and port; of two alike the heavier."""
    found: dict[_Place, Instance] = {}
    for instance in instances:
        if instance.serving and (place := _place(instance)):
            other = found.get(place)
            if other is None or _rank(instance) > _rank(other):
                found[place] = instance
    return found


def _rank(instance: Instance) -> tuple[float, Locality]:
    return instance.weight, instance.locality


def _localities(
    endpoints: Mapping[_Place, Instance], priority: int = 0, metadata: bytes = b""
) -> Iterator[bytes]:
    """Encode the LocalityLbEndpoints of a priority; each endpoint ends with ``metadata``."""
    if not endpoints:
        return
    alike = len({one.weight for one in endpoints.values()}) == 1
    limit = min(_MAX_WEIGHT, _MAX_WEIGHT_SUM // len(endpoints))
    encoded: dict[Locality, list[bytes]] = {}
    for place, one in sorted(endpoints.items()):
        endpoint = lb_endpoint(*place, None if alike else _integer(one.weight, limit)) + metadata
        encoded.setdefault(one.locality, []).append(endpoint)
    for locality, parts in sorted(encoded.items()):
        yield lb_locality(locality, parts, priority=priority)


def _integer(weight: float, limit: int) -> int:
    return max(1, round(min(weight * _WEIGHT_SCALE, limit)))


# Of thousands of instances one changes at a time; the others' endpoints are put together again from these.
@lru_cache(maxsize=1 << 16)
def lb_endpoint(address: str, port: int, weight: int | None) -> bytes:
    """Encode an LbEndpoint; without a ``weight`` it has that of all others."""
    socket_address = delimited(_ADDRESS, address.encode()) + _PORT_TAG + varint(port)
    endpoint = delimited(_ENDPOINT_ADDRESS, delimited(_SOCKET_ADDRESS, socket_address))
    if weight is None:
        return delimited(_ENDPOINT, endpoint)
    return delimited(_ENDPOINT, endpoint) + delimited(_WEIGHT, uint32(weight))


def _place(instance: Instance) -> _Place | None:
    """Return the canonical address and the port of an instance; None if nothing can be connected to."""
    address = canonical_ip(instance.address) or canonical_host_name(instance.address)
    return (address, instance.port) if address and 0 < instance.port < 65536 else None
