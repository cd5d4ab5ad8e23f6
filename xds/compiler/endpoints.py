"""Load assignments: the instances of a cluster.

They are put together from fields. An endpoint is four messages within each other, and building those takes
thirty times as long as their bytes; of a thousand instances one changes, a restart has them all.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache

from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment

from xds.rules.instance import Instance
from xds.wire import delimited, encode, varint

# Field numbers (envoy/config/endpoint/v3/endpoint.proto, endpoint_components.proto, core/v3/address.proto).
_ENDPOINTS = 2  # ClusterLoadAssignment.endpoints
_LB_ENDPOINTS = 2  # LocalityLbEndpoints.lb_endpoints
_ENDPOINT = 1  # LbEndpoint.endpoint
_WEIGHT = 4  # LbEndpoint.load_balancing_weight, a UInt32Value
_ENDPOINT_ADDRESS = 1  # Endpoint.address
_SOCKET_ADDRESS = 1  # Address.socket_address
_ADDRESS = 2  # SocketAddress.address
_PORT_TAG = varint(3 << 3)  # SocketAddress.port_value
_VALUE_TAG = varint(1 << 3)  # UInt32Value.value

# Nacos weights have decimals and end at 10,000; Envoy's are integers.
_WEIGHT_SCALE = 100
_MAX_WEIGHT = 10_000 * _WEIGHT_SCALE
_MAX_WEIGHT_SUM = 2**32 - 1  # of a locality; Envoy rejects more


def load_assignment(cluster: str, instances: Iterable[Instance]) -> bytes:
    """Encode the ClusterLoadAssignment of a cluster: the instances that can serve, in order of address.

    Of two with the same address and port the heavier counts. Nacos weights become load-balancing weights
    unless all are the same.
    """
    weights: dict[tuple[str, int], float] = {}
    for instance in instances:
        address = _ip_address(instance)
        if address is not None and instance.serving:
            key = (address, instance.port)
            weights[key] = max(instance.weight, weights.get(key, 0.0))
    header = encode(ClusterLoadAssignment(cluster_name=cluster))
    if not weights:
        return header
    return header + delimited(_ENDPOINTS, _locality(weights))


def can_serve(instance: Instance) -> bool:
    """Tell whether an instance may take traffic and Envoy can reach it.

    EDS resolves no names and knows no IPv6 zones, and one wrong endpoint costs the whole assignment.
    """
    return instance.serving and _ip_address(instance) is not None


def unusable(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return those that may take traffic and have no address for Envoy, for whoever reports them."""
    return tuple(instance for instance in instances if instance.serving and not can_serve(instance))


def _locality(weights: Mapping[tuple[str, int], float]) -> bytes:
    alike = len(set(weights.values())) == 1
    limit = min(_MAX_WEIGHT, _MAX_WEIGHT_SUM // len(weights))
    return b"".join(
        delimited(_LB_ENDPOINTS, _lb_endpoint(address, port, None if alike else _integer(weight, limit)))
        for (address, port), weight in sorted(weights.items())
    )


def _integer(weight: float, limit: int) -> int:
    return max(1, round(min(weight * _WEIGHT_SCALE, limit)))


def _lb_endpoint(address: str, port: int, weight: int | None) -> bytes:
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
