"""Load assignments: the instances of a cluster.

They are put together from fields. An endpoint is four messages within each other, and building those takes
thirty times as long as their bytes; of a thousand instances one changes, a restart has them all.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache

from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment

from xds.compiler.metadata import own_metadata
from xds.rules.instance import Instance
from xds.wire import delimited, encode, varint

# Field numbers (envoy/config/endpoint/v3/endpoint.proto, endpoint_components.proto, core/v3/address.proto).
_ENDPOINTS = 2  # ClusterLoadAssignment.endpoints
_POLICY = 4  # ClusterLoadAssignment.policy
_OVERPROVISIONING_FACTOR = 3  # ClusterLoadAssignment.Policy.overprovisioning_factor, a UInt32Value
_PRIORITY_TAG = varint(5 << 3)  # LocalityLbEndpoints.priority
_LB_ENDPOINTS = 2  # LocalityLbEndpoints.lb_endpoints
_ENDPOINT = 1  # LbEndpoint.endpoint
_METADATA = 3  # LbEndpoint.metadata
_WEIGHT = 4  # LbEndpoint.load_balancing_weight, a UInt32Value
_ENDPOINT_ADDRESS = 1  # Endpoint.address
_SOCKET_ADDRESS = 1  # Address.socket_address
_ADDRESS = 2  # SocketAddress.address
_PORT_TAG = varint(3 << 3)  # SocketAddress.port_value
_VALUE_TAG = varint(1 << 3)  # UInt32Value.value

_Place = tuple[str, int]

# Nacos weights have decimals and end at 10,000; Envoy's are integers.
_WEIGHT_SCALE = 100
_MAX_WEIGHT = 10_000 * _WEIGHT_SCALE
_MAX_WEIGHT_SUM = 2**32 - 1  # of a locality; Envoy rejects more


# Envoy hands a part of the requests to the next priority when so many are unhealthy that the healthy ones,
# times this percentage, are fewer than all. Gray's share is gray's while one of a thousand can serve it.
_ALL_OR_NOTHING = delimited(_POLICY, delimited(_OVERPROVISIONING_FACTOR, varint(1 << 3) + varint(100_000)))


def load_assignment(
    cluster: str,
    instances: Iterable[Instance],
    fallback: Iterable[Instance] = (),
    fallback_subset: str | None = None,
) -> bytes:
    """Encode the ClusterLoadAssignment of a cluster: the instances that can serve, in order of address.

    ``instances`` have priority 0 and ``fallback`` priority 1: as long as one of ``instances`` is healthy to
    Envoy, they get all requests, and without one the fallback does. Of two with the same address and port the
    heavier counts. Nacos weights become load-balancing weights unless all of a priority are the same. The
    fallback's endpoints have the name of its subset as metadata, for logs.
    """
    first = weights_by_address(instances)
    second = {place: weight for place, weight in weights_by_address(fallback).items() if place not in first}
    encoded = encode(ClusterLoadAssignment(cluster_name=cluster))
    if first:
        encoded += delimited(_ENDPOINTS, _locality(first))
    if second:
        known_as = delimited(_METADATA, own_metadata({"subset": fallback_subset})) if fallback_subset else b""
        encoded += delimited(_ENDPOINTS, _locality(second, known_as) + _PRIORITY_TAG + varint(1))
        encoded += _ALL_OR_NOTHING
    return encoded


def can_serve(instance: Instance) -> bool:
    """Tell whether an instance may take traffic and Envoy can reach it.

    EDS resolves no names and knows no IPv6 zones, and one wrong endpoint costs the whole assignment.
    """
    return instance.serving and _ip_address(instance) is not None


def unusable(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return those that may take traffic and have no address for Envoy, for whoever reports them."""
    return tuple(instance for instance in instances if instance.serving and not can_serve(instance))


def weights_by_address(instances: Iterable[Instance]) -> dict[_Place, float]:
    """Return the weights of those that can serve, by canonical address and port; of two alike the heavier."""
    weights: dict[_Place, float] = {}
    for instance in instances:
        address = _ip_address(instance)
        if address is not None and instance.serving:
            place = (address, instance.port)
            weights[place] = max(instance.weight, weights.get(place, 0.0))
    return weights


def _locality(weights: Mapping[_Place, float], metadata: bytes = b"") -> bytes:
    alike = len(set(weights.values())) == 1
    limit = min(_MAX_WEIGHT, _MAX_WEIGHT_SUM // len(weights))
    return b"".join(
        delimited(_LB_ENDPOINTS, lb_endpoint(*place, None if alike else _integer(weight, limit)) + metadata)
        for place, weight in sorted(weights.items())
    )


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
    return delimited(_ENDPOINT, endpoint) + delimited(_WEIGHT, _VALUE_TAG + varint(weight))


def _ip_address(instance: Instance) -> str | None:
    return _canonical(instance.address) if 0 < instance.port < 65536 else None


@lru_cache(maxsize=1 << 16)
def _canonical(address: str) -> str | None:
    if "%" in address:
        return None
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None
